#include "tasks/task_data.h"

#include <algorithm>
#include <charconv>
#include <system_error>

#include <fmt/ranges.h>

#include "core/error.h"
#include "tasks/row_table.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using Paths = std::vector<fs::path>;

/// The tables of a folder whose names start so, sorted.
Paths tables_in(const fs::path& folder, std::string_view name_start = "") {
  Paths files;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const bool is_wanted = entry.path().filename().string().starts_with(name_start);
    if (is_wanted && is_table_file(entry.path()) && entry.is_regular_file(error)) {
      files.push_back(entry.path());
    }
  }
  std::ranges::sort(files);
  return files;
}

/// Files called "<name>-00000-of-00004.parquet" and on: all of them must be there.
Paths numbered_tables(const fs::path& stem) {
  Paths files = tables_in(stem.parent_path(), stem.filename().string() + "-0");
  std::erase_if(files, [](const fs::path& path) {
    return path.filename().string().find("-of-") == std::string::npos;
  });
  if (files.empty()) return files;
  const std::string name = files.front().filename().string();
  const size_t at = name.rfind("-of-") + 4;
  int64_t n = 0;
  std::from_chars(name.data() + at, name.data() + name.size(), n);
  if (n != std::ssize(files)) {
    throw DataError("{}: {} of {} files of this split are here: fetch the others too",
                    files.front().string(), files.size(), n);
  }
  return files;
}

Paths files_of_stem(const fs::path& stem) {
  std::error_code error;
  for (const std::string_view ending : {".parquet", ".jsonl", ".jsonl.gz", ".jsonl.zst"}) {
    const fs::path file = stem.string() + std::string(ending);
    if (fs::is_regular_file(file, error)) return {file};
  }
  Paths files = tables_in(stem);
  if (files.empty()) files = numbered_tables(stem);
  return files;
}

std::vector<std::string> folder_names(const TaskSplit& split) {
  std::string whole(split.repo);
  const size_t slash = whole.find('/');
  if (slash == std::string::npos) return {std::string(split.dataset)};
  const std::string last = whole.substr(slash + 1);
  whole.replace(slash, 1, "--");
  return {std::string(split.dataset), whole, last};
}

}  // namespace

Paths TaskData::roots() const {
  Paths roots = folders;
  roots.push_back(base_dir / "data");
  roots.push_back(base_dir / "task_data");
  return roots;
}

Paths find_split_files(const TaskData& data, const TaskSplit& split) {
  const std::vector<std::string> names = folder_names(split);
  for (const fs::path& root : data.roots()) {
    Paths folders;
    for (const std::string& name : names) folders.push_back(root / name);
    const fs::path own = fs::absolute(root / "").parent_path().filename();
    if (std::ranges::find(names, own.string()) != names.end()) folders.push_back(root);
    for (const fs::path& folder : folders) {
      for (const std::string& stem : split.stems) {
        Paths files = files_of_stem(folder / stem);
        if (!files.empty()) return files;
      }
    }
  }
  std::vector<std::string> places;
  for (const fs::path& root : data.roots()) places.push_back((root / split.dataset).string());
  places.pop_back();  // upstream's folder: not where to put anything
  throw NotFoundError(
      "no {} in {}: nanochat data download {} fetches it, or --task-data DIR says where it is",
      fmt::join(split.stems, " or "), fmt::join(places, ", "), split.dataset);
}

}  // namespace nanochat
