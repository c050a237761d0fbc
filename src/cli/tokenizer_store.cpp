#include "cli/tokenizer_store.h"

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "core/error.h"
#include "core/file.h"
#include "tokenizer/formats.h"

namespace nanochat::cli {
namespace {

namespace fs = std::filesystem;

bool is_path(std::string_view name) {
  return name.find('/') != std::string_view::npos || name == "." || name == "..";
}

fs::path store(const CommonOptions& common) { return common.base_dir / "tokenizer"; }

/// "(there are: a, b)", or nothing.
std::string known_names(const CommonOptions& common) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(store(common), error)) {
    if (entry.is_directory(error)) names.push_back(entry.path().filename().string());
  }
  if (names.empty()) return "";
  std::sort(names.begin(), names.end());
  return fmt::format(" (there: {})", fmt::join(names, ", "));
}

}  // namespace

fs::path find_tokenizer(const CommonOptions& common, const std::string& name) {
  if (name.empty()) throw UsageError("a tokenizer's name is empty");
  std::error_code error;
  if (!is_path(name)) {
    const fs::path named = store(common) / name;
    if (fs::exists(named, error)) return named;
    if (!fs::exists(name, error)) {
      throw NotFoundError(
          "no tokenizer '{}': neither in {}{} nor a file of that name; nanochat tok "
          "train makes one",
          name, store(common).string(), known_names(common));
    }
  }
  return name;
}

Tokenizer load_tokenizer(const CommonOptions& common, const std::string& name) {
  return Tokenizer(load_vocabulary(find_tokenizer(common, name)));
}

fs::path tokenizer_folder_to_write(const CommonOptions& common, const std::string& name) {
  if (name.empty()) throw UsageError("--out is empty");
  const fs::path folder = is_path(name) ? fs::path(name) : store(common) / name;
  // The nearest folder that exists is where something will be made.
  fs::path nearest = fs::absolute(folder);
  while (!fs::exists(nearest) && nearest.has_relative_path()) nearest = nearest.parent_path();
  if (!fs::is_directory(nearest)) throw_errno("write into", nearest, ENOTDIR);
  if (::access(nearest.c_str(), W_OK | X_OK) != 0) throw_errno("write into", nearest, errno);
  return folder;
}

void save_tokenizer(const Tokenizer& tokenizer, const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw_errno("make the folder", folder, error.value());
  write_file_atomically(folder / kTokenBytesFileName,
                        fmt::format("[{}]\n", fmt::join(token_byte_counts(tokenizer), ",")));
  save_vocabulary(tokenizer.vocabulary(), folder / kTokenizerFileName);
}

std::string pattern_from_name(std::string_view name) {
  if (name == "nanochat") return std::string(kNanochatPattern);
  if (name == "gpt4") return std::string(kGpt4Pattern);
  return std::string(name);
}

}  // namespace nanochat::cli
