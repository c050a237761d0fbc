/// Where the data sets of tasks are found.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace nanochat {

/// Where to look: in `folders` (--task-data) first, in their order, then below the base folder,
/// where `nanochat data download` puts data sets and where upstream keeps its own.
struct TaskData {
  std::filesystem::path base_dir;
  std::vector<std::filesystem::path> folders{};

  /// The folders to look in, in order.
  [[nodiscard]] std::vector<std::filesystem::path> roots() const;
};

/// One split of a data set.
struct TaskSplit {
  std::string_view dataset;  ///< its name in the catalogue ("arc"), and its folder's below a root
  std::string_view repo;     ///< on the Hugging Face hub ("allenai/ai2_arc")
  /// How its files may be called below the data set's folder, without the ending. "main/test" may
  /// be a folder of tables, a table (main/test.jsonl), or a few (main/test-00000-of-00002.parquet).
  std::vector<std::string> stems;
};

/// The files of the split, from the first place that has some. A data set's folder may also be
/// named as its repository, whole (allenai--ai2_arc) or the last part (ai2_arc), or be a root
/// itself. Throws NotFoundError, which says where it was looked for and how to get it; DataError
/// when only some of "...-of-00004" are there.
[[nodiscard]] std::vector<std::filesystem::path> find_split_files(const TaskData& data,
                                                                  const TaskSplit& split);

}  // namespace nanochat
