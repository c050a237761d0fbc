/// Files that tests read and that are not part of the repository.
///
/// Look for them while a test runs, not when tests are listed: the list is made at build time, the
/// folder may be another one at run time.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace nanochat::test {

/// $NANOCHAT_FIXTURES, else ../shared/fixtures beside the source tree. It may not exist.
[[nodiscard]] std::filesystem::path fixtures_dir();
/// $NANOCHAT_DATA, else ../shared/data beside the source tree. It may not exist.
[[nodiscard]] std::filesystem::path data_dir();

/// The files of fixtures_dir() that match "classic/gpt*.json" (wildcards in the last part only),
/// sorted; empty when there are none or no folder.
[[nodiscard]] std::vector<std::filesystem::path> find_fixtures(std::string_view pattern);

/// For GTEST_SKIP() << ...: what was looked for, where, and how to name another folder.
[[nodiscard]] std::string missing_fixture(std::string_view pattern);
[[nodiscard]] std::string missing_data(std::string_view what);

/// Throws std::runtime_error naming the file when it cannot be read or is not JSON.
[[nodiscard]] nlohmann::json load_json(const std::filesystem::path& path);

}  // namespace nanochat::test
