#include "data/parquet/module.h"

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <arrow/api.h>
#include <parquet/arrow/reader.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>

#include "core/error.h"
#include "data/parquet/arrow_file.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;

/// One row group after another, the one column, some rows at a time: pages are decompressed as rows
/// are asked for.
class ParquetReader final : public DocumentReader {
 public:
  ParquetReader(const fs::path& path, const DocumentSourceOptions& options)
      : path_(path), options_(options) {
    guarded(path_.string(), [&] {
      reader_ = open_arrow_reader(path_.string(), options_.batch_documents);
      find_column();
    });
  }

  bool next(DocumentBatch& batch) override {
    batch.documents.clear();
    while (batch.documents.empty()) {
      if (next_row_ < rows_end()) {
        give_out(batch);
        continue;
      }
      rows_.reset();
      if (!rows_of_group_ && !open_next_group()) return false;
      guarded(place(), [&] {
        std::shared_ptr<arrow::RecordBatch> read;
        check(rows_of_group_->ReadNext(&read), place());
        if (read)
          take(*read);
        else
          close_group();
      });
    }
    return true;
  }

  std::vector<int64_t> group_sizes() const override {
    const auto metadata = reader_->parquet_reader()->metadata();
    std::vector<int64_t> sizes;
    for (int group = 0; group < metadata->num_row_groups(); ++group) {
      sizes.push_back(metadata->RowGroup(group)->num_rows());
    }
    return sizes;
  }

  void seek_group(int64_t group) override {
    rows_of_group_.reset();
    rows_.reset();
    next_row_ = 0;
    group_ = static_cast<int>(group) - 1;
  }

 private:
  void find_column() {
    std::shared_ptr<arrow::Schema> schema;
    check(reader_->GetSchema(&schema), path_.string());
    const int field = schema->GetFieldIndex(options_.text_field);
    if (field < 0) {
      std::string names;
      for (const std::string& name : schema->field_names()) {
        names += fmt::format("{}'{}'", names.empty() ? "" : ", ", name);
      }
      throw DataError("{}: no column '{}' (it has {}): name another with --text-field",
                      path_.string(), options_.text_field, names.empty() ? "none" : names);
    }
    const arrow::DataType& type = *schema->field(field)->type();
    if (!is_text(type)) {
      throw DataError("{}: column '{}' holds {}, not text: name another with --text-field",
                      path_.string(), options_.text_field, type.ToString());
    }
    // Columns are numbered by their leaves; one of text has a single leaf of its own name.
    const auto& leaves = *reader_->parquet_reader()->metadata()->schema();
    column_ = leaves.ColumnIndex(options_.text_field);
    if (column_ < 0) {
      throw DataError("{}: column '{}' is nested: only a plain one holds documents", path_.string(),
                      options_.text_field);
    }
  }

  bool open_next_group() {
    if (group_ + 1 == reader_->num_row_groups()) return false;
    ++group_;
    rows_given_ = 0;
    guarded(place(), [&] {
      auto rows = reader_->GetRecordBatchReader({group_}, {column_});
      if (!rows.ok()) throw_status(rows.status(), place());
      rows_of_group_ = std::move(*rows);
    });
    return true;
  }

  /// A row group that ends before its promised rows is a truncated one.
  void close_group() {
    const int64_t promised = reader_->parquet_reader()->metadata()->RowGroup(group_)->num_rows();
    if (rows_given_ != promised) {
      throw DataError("{}: {} rows where the footer promises {}", place(), rows_given_, promised);
    }
    rows_of_group_.reset();
  }

  void take(const arrow::RecordBatch& read) {
    rows_ = read.column(0);
    next_row_ = 0;
    if (rows_->null_count() > 0) {
      int64_t row = 0;
      while (rows_->IsValid(row)) ++row;
      throw DataError("{}: row {} is null, not text", place(), rows_given_ + row);
    }
    check(rows_->Validate(), place());
    rows_given_ += rows_->length();
  }

  /// From the rows read, until the batch is long enough.
  void give_out(DocumentBatch& batch) {
    batch.memory = rows_;
    int64_t bytes = 0;
    while (next_row_ < rows_end() && bytes < kBatchBytes &&
           std::ssize(batch.documents) < options_.batch_documents) {
      batch.documents.push_back(text_at(*rows_, next_row_++));
      bytes += std::ssize(batch.documents.back());
    }
  }

  [[nodiscard]] int64_t rows_end() const { return rows_ ? rows_->length() : 0; }
  [[nodiscard]] std::string place() const {
    return fmt::format("{}: row group {}, column '{}'", path_.string(), group_,
                       options_.text_field);
  }

  fs::path path_;
  const DocumentSourceOptions& options_;
  std::unique_ptr<parquet::arrow::FileReader> reader_;
  int column_ = -1;
  int group_ = -1;  // the row group that is read
  std::unique_ptr<arrow::RecordBatchReader> rows_of_group_;
  int64_t rows_given_ = 0;              // of that group, by Arrow
  std::shared_ptr<arrow::Array> rows_;  // read, and given out up to next_row_
  int64_t next_row_ = 0;
};

}  // namespace
}  // namespace nanochat

extern "C" {
int nanochat_parquet_interface() { return nanochat::kParquetModuleInterface; }

nanochat::DocumentReader* nanochat_parquet_open(const char* path,
                                                const nanochat::DocumentSourceOptions& options) {
  return std::make_unique<nanochat::ParquetReader>(path, options).release();
}
}
