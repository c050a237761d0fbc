/// What the readers of the parquet module share: opening a file, and Arrow's errors as ours.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <arrow/api.h>
#include <arrow/io/file.h>
#include <parquet/arrow/reader.h>
#include <parquet/exception.h>
#include <parquet/properties.h>

#include "core/error.h"

namespace nanochat {

/// Arrow's messages may span lines and end in advice for programmers.
inline std::string first_line(std::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

/// Throws what `status` means for the person who gave the file.
[[noreturn]] inline void throw_status(const arrow::Status& status, std::string_view place) {
  const std::string why = first_line(status.message());
  if (status.IsOutOfMemory()) throw OutOfMemoryError("{}: {}", place, why);
  throw DataError("{}: not readable as parquet: {}", place, why);
}

inline void check(const arrow::Status& status, std::string_view place) {
  if (!status.ok()) throw_status(status, place);
}

/// Parts of Arrow throw; what they mean is the same as a bad status.
template <typename F>
void guarded(std::string_view place, F&& f) {
  try {
    f();
  } catch (const parquet::ParquetException& e) {
    throw DataError("{}: not readable as parquet: {}", place, first_line(e.what()));
  }
}

/// One thread, and pages as rows are asked for. Call it guarded.
inline std::unique_ptr<parquet::arrow::FileReader> open_arrow_reader(const std::string& path,
                                                                     int64_t batch_rows) {
  auto file = arrow::io::ReadableFile::Open(path);
  if (!file.ok()) throw IoError("cannot read {}: {}", path, first_line(file.status().message()));
  auto properties = parquet::default_reader_properties();
  properties.enable_buffered_stream();  // else a whole column chunk is read before its first row
  parquet::arrow::FileReaderBuilder builder;
  check(builder.Open(*file, properties), path);
  parquet::ArrowReaderProperties arrow_properties;
  arrow_properties.set_use_threads(false);
  arrow_properties.set_pre_buffer(false);
  arrow_properties.set_batch_size(batch_rows);
  std::unique_ptr<parquet::arrow::FileReader> reader;
  check(builder.properties(arrow_properties)->Build(&reader), path);
  return reader;
}

inline bool is_text(const arrow::DataType& type) {
  switch (type.id()) {
    case arrow::Type::STRING:
    case arrow::Type::LARGE_STRING:
    case arrow::Type::BINARY:  // older writers did not say that their bytes are UTF-8
    case arrow::Type::LARGE_BINARY:
    case arrow::Type::STRING_VIEW:
    case arrow::Type::BINARY_VIEW:
      return true;
    case arrow::Type::DICTIONARY:
      return is_text(*static_cast<const arrow::DictionaryType&>(type).value_type());
    default:
      return false;
  }
}

/// Row i of an array of text that holds no null; views into the array.
inline std::string_view text_at(const arrow::Array& array, int64_t i) {
  switch (array.type_id()) {
    case arrow::Type::STRING:
    case arrow::Type::BINARY:
      return static_cast<const arrow::BinaryArray&>(array).GetView(i);
    case arrow::Type::LARGE_STRING:
    case arrow::Type::LARGE_BINARY:
      return static_cast<const arrow::LargeBinaryArray&>(array).GetView(i);
    case arrow::Type::STRING_VIEW:
    case arrow::Type::BINARY_VIEW:
      return static_cast<const arrow::BinaryViewArray&>(array).GetView(i);
    default: {
      const auto& dictionary = static_cast<const arrow::DictionaryArray&>(array);
      return text_at(*dictionary.dictionary(), dictionary.GetValueIndex(i));
    }
  }
}

}  // namespace nanochat
