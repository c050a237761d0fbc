/// Parquet files for tests to read back, written by Arrow itself. Needs NANOCHAT_ARROW and Arrow.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <arrow/api.h>
#include <arrow/io/file.h>
#include <arrow/json/from_string.h>
#include <parquet/arrow/writer.h>
#include <parquet/properties.h>

namespace nanochat::test {

struct ParquetOptions {
  std::string column = "text";
  std::shared_ptr<arrow::DataType> type = arrow::utf8();
  int64_t rows_per_group = 1024;
  parquet::Compression::type compression = parquet::Compression::ZSTD;
  int64_t null_row = -1;  ///< this one has no text
  bool with_ids = false;  ///< another column in front
};

inline void check_arrow(const arrow::Status& status) {
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

/// Rows as JSON text, one array of them, into columns of these fields.
inline void write_parquet_table(const std::filesystem::path& path,
                                const std::vector<std::shared_ptr<arrow::Field>>& fields,
                                const std::string& json_rows, int64_t rows_per_group = 1024) {
  const auto type = arrow::struct_(fields);
  const auto rows = arrow::json::ArrayFromJSONString(type, json_rows).ValueOrDie();
  const auto batch = arrow::RecordBatch::FromStructArray(rows).ValueOrDie();
  const auto table = arrow::Table::FromRecordBatches({batch}).ValueOrDie();
  const auto file = arrow::io::FileOutputStream::Open(path.string()).ValueOrDie();
  check_arrow(
      parquet::arrow::WriteTable(*table, arrow::default_memory_pool(), file, rows_per_group));
  check_arrow(file->Close());
}

inline std::shared_ptr<arrow::Array> text_array(std::span<const std::string> texts,
                                                const ParquetOptions& options) {
  std::unique_ptr<arrow::ArrayBuilder> builder;
  if (options.type->id() == arrow::Type::DICTIONARY) {  // MakeBuilder would choose an index type
    builder = std::make_unique<arrow::StringDictionary32Builder>();
  } else {
    check_arrow(arrow::MakeBuilder(arrow::default_memory_pool(), options.type, &builder));
  }
  for (size_t i = 0; i < texts.size(); ++i) {
    if (static_cast<int64_t>(i) == options.null_row) {
      check_arrow(builder->AppendNull());
    } else if (options.type->id() == arrow::Type::LARGE_STRING) {
      check_arrow(static_cast<arrow::LargeStringBuilder&>(*builder).Append(texts[i]));
    } else if (options.type->id() == arrow::Type::DICTIONARY) {
      check_arrow(static_cast<arrow::StringDictionary32Builder&>(*builder).Append(texts[i]));
    } else if (options.type->id() == arrow::Type::INT64) {
      check_arrow(static_cast<arrow::Int64Builder&>(*builder).Append(static_cast<int64_t>(i)));
    } else {
      check_arrow(static_cast<arrow::BinaryBuilder&>(*builder).Append(texts[i]));
    }
  }
  std::shared_ptr<arrow::Array> array;
  check_arrow(builder->Finish(&array));
  return array;
}

/// With Arrow's own schema in the footer, as pyarrow writes it.
inline void write_parquet(const std::filesystem::path& path, std::span<const std::string> texts,
                          const ParquetOptions& options = {}) {
  std::vector<std::shared_ptr<arrow::Field>> fields{arrow::field(options.column, options.type)};
  std::vector<std::shared_ptr<arrow::Array>> columns{text_array(texts, options)};
  if (options.with_ids) {
    ParquetOptions ids;
    ids.type = arrow::int64();
    fields.insert(fields.begin(), arrow::field("id", arrow::int64()));
    columns.insert(columns.begin(), text_array(texts, ids));
  }
  const auto table = arrow::Table::Make(arrow::schema(fields), columns);
  const auto file = arrow::io::FileOutputStream::Open(path.string()).ValueOrDie();
  const auto properties =
      parquet::WriterProperties::Builder().compression(options.compression)->build();
  const auto arrow_properties = parquet::ArrowWriterProperties::Builder().store_schema()->build();
  check_arrow(parquet::arrow::WriteTable(*table, arrow::default_memory_pool(), file,
                                         options.rows_per_group, properties, arrow_properties));
  check_arrow(file->Close());
}

}  // namespace nanochat::test
