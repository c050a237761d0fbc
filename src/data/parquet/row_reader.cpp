/// Rows of any columns, nested ones too, as JSON: for files that are tables rather than texts.
#include <charconv>
#include <cmath>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <arrow/api.h>
#include <fmt/format.h>
#include <parquet/arrow/reader.h>

#include "core/error.h"
#include "data/parquet/arrow_file.h"
#include "data/parquet/module.h"

namespace nanochat {
namespace {

void append_json(const arrow::Array& array, int64_t i, std::string& out);

bool must_escape(char c) { return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20; }

void append_string(std::string_view text, std::string& out) {
  out += '"';
  for (size_t begin = 0; begin < text.size();) {
    size_t end = begin;
    while (end < text.size() && !must_escape(text[end])) ++end;
    out += text.substr(begin, end - begin);
    if (end < text.size()) out += fmt::format("\\u{:04x}", static_cast<int>(text[end]));
    begin = end + 1;
  }
  out += '"';
}

void append_number(double x, std::string& out) {
  if (std::isfinite(x)) {
    out += fmt::format("{}", x);
  } else {
    out += "null";  // JSON has no other word for it
  }
}

void append_list(const arrow::Array& values, int64_t first, int64_t n, std::string& out) {
  out += '[';
  for (int64_t k = 0; k < n; ++k) {
    if (k > 0) out += ',';
    append_json(values, first + k, out);
  }
  out += ']';
}

void append_struct(const arrow::StructArray& array, int64_t i, std::string& out) {
  out += '{';
  for (int k = 0; k < array.num_fields(); ++k) {
    if (k > 0) out += ',';
    append_string(array.struct_type()->field(k)->name(), out);
    out += ':';
    append_json(*array.field(k), i, out);
  }
  out += '}';
}

template <typename Array>
auto value_at(const arrow::Array& array, int64_t i) {
  return static_cast<const Array&>(array).Value(i);
}

/// Element i. Types that no data set of ours has are refused by name.
void append_json(const arrow::Array& array, int64_t i, std::string& out) {
  if (array.IsNull(i)) {
    out += "null";
    return;
  }
  switch (array.type_id()) {
    case arrow::Type::BOOL:
      out += value_at<arrow::BooleanArray>(array, i) ? "true" : "false";
      return;
    case arrow::Type::INT8:
      out += std::to_string(value_at<arrow::Int8Array>(array, i));
      return;
    case arrow::Type::UINT8:
      out += std::to_string(value_at<arrow::UInt8Array>(array, i));
      return;
    case arrow::Type::INT16:
      out += std::to_string(value_at<arrow::Int16Array>(array, i));
      return;
    case arrow::Type::UINT16:
      out += std::to_string(value_at<arrow::UInt16Array>(array, i));
      return;
    case arrow::Type::INT32:
      out += std::to_string(value_at<arrow::Int32Array>(array, i));
      return;
    case arrow::Type::UINT32:
      out += std::to_string(value_at<arrow::UInt32Array>(array, i));
      return;
    case arrow::Type::INT64:
      out += std::to_string(value_at<arrow::Int64Array>(array, i));
      return;
    case arrow::Type::UINT64:
      out += std::to_string(value_at<arrow::UInt64Array>(array, i));
      return;
    case arrow::Type::FLOAT:
      append_number(value_at<arrow::FloatArray>(array, i), out);
      return;
    case arrow::Type::DOUBLE:
      append_number(value_at<arrow::DoubleArray>(array, i), out);
      return;
    case arrow::Type::LIST: {
      const auto& list = static_cast<const arrow::ListArray&>(array);
      append_list(*list.values(), list.value_offset(i), list.value_length(i), out);
      return;
    }
    case arrow::Type::LARGE_LIST: {
      const auto& list = static_cast<const arrow::LargeListArray&>(array);
      append_list(*list.values(), list.value_offset(i), list.value_length(i), out);
      return;
    }
    case arrow::Type::STRUCT:
      append_struct(static_cast<const arrow::StructArray&>(array), i, out);
      return;
    default:
      if (!is_text(*array.type())) {
        throw DataError("a column holds {}, which is not read as JSON", array.type()->ToString());
      }
      append_string(text_at(array, i), out);
  }
}

/// All row groups, all columns.
class RowReader final : public DocumentReader {
 public:
  RowReader(const std::string& path, int64_t batch_rows) : path_(path) {
    guarded(path_, [&] {
      reader_ = open_arrow_reader(path_, batch_rows);
      auto rows = reader_->GetRecordBatchReader();
      if (!rows.ok()) throw_status(rows.status(), path_);
      rows_ = std::move(*rows);
    });
  }

  bool next(DocumentBatch& batch) override {
    batch.documents.clear();
    const auto text = std::make_shared<std::string>();
    std::vector<size_t> ends;
    std::shared_ptr<arrow::RecordBatch> read;
    do {
      guarded(path_, [&] { check(rows_->ReadNext(&read), path_); });
      if (!read) return end_of_file();
    } while (read->num_rows() == 0);
    check(read->Validate(), path_);
    try {
      const auto structs = read->ToStructArray();
      if (!structs.ok()) throw_status(structs.status(), path_);
      for (int64_t i = 0; i < read->num_rows(); ++i) {
        append_struct(**structs, i, *text);
        ends.push_back(text->size());
      }
    } catch (const DataError& e) {
      throw DataError("{}: {}", path_, e.what());
    }
    text->shrink_to_fit();  // a whole table may be kept
    rows_given_ += read->num_rows();
    size_t begin = 0;
    for (const size_t end : ends) {
      batch.documents.push_back(std::string_view(*text).substr(begin, end - begin));
      begin = end;
    }
    batch.memory = text;
    return true;
  }

 private:
  [[nodiscard]] bool end_of_file() const {
    const int64_t promised = reader_->parquet_reader()->metadata()->num_rows();
    if (rows_given_ == promised) return false;
    throw DataError("{}: {} rows where the footer promises {}", path_, rows_given_, promised);
  }

  std::string path_;
  std::unique_ptr<parquet::arrow::FileReader> reader_;
  std::unique_ptr<arrow::RecordBatchReader> rows_;
  int64_t rows_given_ = 0;
};

}  // namespace
}  // namespace nanochat

extern "C" {
nanochat::DocumentReader* nanochat_parquet_open_rows(const char* path, int64_t batch_rows) {
  return std::make_unique<nanochat::RowReader>(path, batch_rows).release();
}
}
