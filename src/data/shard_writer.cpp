#include "data/shard_writer.h"

#include "core/file.h"
#include "data/parquet_module.h"

namespace nanochat {

struct ShardWriter::Impl final : ByteSink {
  explicit Impl(const std::filesystem::path& path)
      : file(path), writer(parquet_module().create(*this)) {}
  void write(std::span<const std::byte> bytes) override { file.write(bytes); }

  AtomicFile file;
  std::unique_ptr<ParquetWriter> writer;  // goes first: it writes to the file
};

ShardWriter::ShardWriter(const std::filesystem::path& path) : impl_(std::make_unique<Impl>(path)) {}
ShardWriter::~ShardWriter() = default;

void ShardWriter::write_row_group(std::span<const std::string_view> documents) {
  impl_->writer->write_row_group(documents);
}

void ShardWriter::commit() {
  impl_->writer->finish();
  impl_->file.commit();
}

int64_t ShardWriter::size_bytes() const noexcept { return impl_->file.size_bytes(); }

}  // namespace nanochat
