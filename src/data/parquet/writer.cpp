#include <exception>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <arrow/api.h>
#include <arrow/io/interfaces.h>
#include <parquet/arrow/writer.h>
#include <parquet/exception.h>
#include <parquet/properties.h>

#include "core/error.h"
#include "data/parquet/module.h"

namespace nanochat {
namespace {

// An array of arrow::utf8() counts its bytes in 32 bits; a longer row group is several arrays.
constexpr int64_t kMaxArrayBytes = std::numeric_limits<int32_t>::max() - 1;

/// A ByteSink as Arrow sees it. Arrow cannot pass exceptions on, so what the sink threw waits here;
/// nothing goes to the sink after that.
class SinkStream final : public arrow::io::OutputStream {
 public:
  explicit SinkStream(ByteSink& sink) : sink_(sink) {}

  arrow::Status Write(const void* data, int64_t n_bytes) override {
    if (failure_ || closed_) return arrow::Status::IOError("closed");
    try {
      sink_.write({static_cast<const std::byte*>(data), static_cast<size_t>(n_bytes)});
    } catch (...) {
      failure_ = std::current_exception();
      return arrow::Status::IOError("not written");
    }
    written_bytes_ += n_bytes;
    return arrow::Status::OK();
  }
  using arrow::io::OutputStream::Write;
  arrow::Result<int64_t> Tell() const override { return written_bytes_; }
  arrow::Status Close() override {
    closed_ = true;
    return arrow::Status::OK();
  }
  bool closed() const override { return closed_; }

  void rethrow_failure() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  ByteSink& sink_;
  std::exception_ptr failure_;
  int64_t written_bytes_ = 0;
  bool closed_ = false;
};

/// What pyarrow's write_table(use_dictionary=False, write_statistics=False, compression="zstd",
/// compression_level=3) asks of the same library, so that the same documents give the same bytes.
std::shared_ptr<parquet::WriterProperties> shard_properties() {
  parquet::WriterProperties::Builder builder;
  builder.version(parquet::ParquetVersion::PARQUET_2_6);
  builder.compression(parquet::Compression::ZSTD)->compression_level(3);
  builder.disable_dictionary()->disable_statistics();
  builder.disable_write_page_index()->disable_page_checksum();
  return builder.build();
}

class ParquetShardWriter final : public ParquetWriter {
 public:
  explicit ParquetShardWriter(ByteSink& sink) : stream_(std::make_shared<SinkStream>(sink)) {
    guarded([&] {
      const auto schema = arrow::schema({arrow::field("text", arrow::utf8())});
      const auto arrow_properties =
          parquet::ArrowWriterProperties::Builder().store_schema()->build();
      auto writer = parquet::arrow::FileWriter::Open(*schema, arrow::default_memory_pool(), stream_,
                                                     shard_properties(), arrow_properties);
      if (!writer.ok()) return writer.status();
      writer_ = std::move(*writer);
      return arrow::Status::OK();
    });
  }
  ~ParquetShardWriter() override {
    static_cast<void>(stream_->Close());  // an unfinished writer would write a footer now
  }
  ParquetShardWriter(const ParquetShardWriter&) = delete;
  ParquetShardWriter& operator=(const ParquetShardWriter&) = delete;

  void write_row_group(std::span<const std::string_view> documents) override {
    guarded([&] {
      arrow::ArrayVector arrays;
      while (!documents.empty()) {
        ARROW_ASSIGN_OR_RAISE(auto array, take_array(documents));
        arrays.push_back(std::move(array));
      }
      ARROW_RETURN_NOT_OK(writer_->NewRowGroup());
      return writer_->WriteColumnChunk(std::make_shared<arrow::ChunkedArray>(std::move(arrays)));
    });
  }
  void finish() override {
    guarded([&] { return writer_->Close(); });
  }

 private:
  /// As many of the documents as one array holds; takes them off `documents`.
  static arrow::Result<std::shared_ptr<arrow::Array>> take_array(
      std::span<const std::string_view>& documents) {
    size_t n = 0;
    int64_t bytes = 0;
    while (n < documents.size() && bytes + std::ssize(documents[n]) <= kMaxArrayBytes) {
      bytes += std::ssize(documents[n++]);
    }
    if (n == 0) {
      throw DataError("a document of {} bytes: parquet shards hold those under 2 GiB",
                      documents.front().size());
    }
    arrow::StringBuilder builder;
    ARROW_RETURN_NOT_OK(builder.Reserve(static_cast<int64_t>(n)));
    ARROW_RETURN_NOT_OK(builder.ReserveData(bytes));
    for (const std::string_view document : documents.first(n)) builder.UnsafeAppend(document);
    documents = documents.subspan(n);
    return builder.Finish();
  }

  template <typename F>
  void guarded(F&& f) {
    std::string why;
    try {
      const arrow::Status status = f();
      if (status.ok()) return;
      if (status.IsOutOfMemory()) throw OutOfMemoryError("parquet: {}", status.message());
      why = status.message();
    } catch (const parquet::ParquetException& e) {
      why = e.what();
    }
    stream_->rethrow_failure();
    throw IoError("parquet: {}", why.substr(0, why.find('\n')));
  }

  std::shared_ptr<SinkStream> stream_;
  std::unique_ptr<parquet::arrow::FileWriter> writer_;
};

}  // namespace
}  // namespace nanochat

extern "C" {
nanochat::ParquetWriter* nanochat_parquet_create(nanochat::ByteSink& sink) {
  return std::make_unique<nanochat::ParquetShardWriter>(sink).release();
}
}
