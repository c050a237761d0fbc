#include "support/fixtures.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include <fmt/format.h>
#include <fnmatch.h>

namespace nanochat::test {
namespace {

namespace fs = std::filesystem;

fs::path folder(const char* variable, const char* name) {
  const char* named = std::getenv(variable);
  if (named != nullptr && *named != '\0') return named;
  return fs::path(NANOCHAT_SOURCE_DIR).parent_path() / "shared" / name;
}

}  // namespace

fs::path fixtures_dir() { return folder("NANOCHAT_FIXTURES", "fixtures"); }
fs::path data_dir() { return folder("NANOCHAT_DATA", "data"); }

std::vector<fs::path> find_fixtures(std::string_view pattern) {
  const fs::path wanted = fixtures_dir() / pattern;
  const std::string name_pattern = wanted.filename().string();
  std::vector<fs::path> found;
  std::error_code no_such_folder;
  for (const auto& entry : fs::directory_iterator(wanted.parent_path(), no_such_folder)) {
    const std::string name = entry.path().filename().string();
    if (fnmatch(name_pattern.c_str(), name.c_str(), 0) == 0) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::string missing_fixture(std::string_view pattern) {
  return fmt::format("no {} under {} (set NANOCHAT_FIXTURES to another folder)", pattern,
                     fixtures_dir().string());
}

std::string missing_data(std::string_view what) {
  return fmt::format("no {} under {} (set NANOCHAT_DATA to another folder)", what,
                     data_dir().string());
}

nlohmann::json load_json(const fs::path& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(fmt::format("{}: cannot be read", path.string()));
  try {
    return nlohmann::json::parse(file);
  } catch (const nlohmann::json::exception& error) {
    throw std::runtime_error(fmt::format("{}: {}", path.string(), error.what()));
  }
}

}  // namespace nanochat::test
