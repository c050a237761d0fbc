/// The rows of a data set's files, held as the JSON text that they are and parsed when asked for.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace nanochat {

/// What the rows of a table are read from: .parquet, or .jsonl, which may be compressed (.gz,
/// .zst).
[[nodiscard]] bool is_table_file(const std::filesystem::path& path);

/// Each row costs its text and 20 bytes; of a plain .jsonl not even the text, since the file is
/// mapped. Threads may share one.
class RowTable {
 public:
  /// Of these files, one after the other; blank lines are no rows. Throws DataError for a file that
  /// is no table or damaged, NotFoundError, IoError.
  explicit RowTable(const std::vector<std::filesystem::path>& files);
  /// Of the lines of `text`, which stays where it is; `name` stands for a file's.
  RowTable(std::string name, std::string_view text);

  [[nodiscard]] int64_t size() const noexcept { return std::ssize(rows_); }
  /// JSON, not checked. 0 <= i < size().
  [[nodiscard]] std::string_view row(int64_t i) const noexcept {
    return rows_[static_cast<size_t>(i)];
  }
  /// "test.jsonl:17" or "00000.parquet: row 16": line numbers count from 1, rows from 0.
  [[nodiscard]] std::string place(int64_t i) const;

 private:
  struct File {
    std::string name;
    int64_t first_row;
    bool has_lines;
  };
  void add_lines(std::string name, std::string_view text);
  void add_parquet(const std::filesystem::path& path);

  std::vector<std::string_view> rows_;
  std::vector<int32_t> numbers_;  // of their lines, or in their parquet file
  std::vector<File> files_;
  std::vector<std::shared_ptr<const void>> memory_;  // what rows_ looks into
};

}  // namespace nanochat
