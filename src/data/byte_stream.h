/// The bytes of a file one after another, decompressed on the way.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace nanochat {

class ByteStream {
 public:
  virtual ~ByteStream() = default;
  /// Fills the beginning of `out` (not empty) and returns how much; 0 only at the end.
  /// Throws IoError; DataError, with the place, for compressed data that is corrupt or ends early.
  [[nodiscard]] virtual size_t read(std::span<char> out) = 0;
};

/// Decompresses what ends in .gz (one or more gzip members) or .zst (frames with windows up to
/// zstd's own limit of 128 MiB); anything else is read as it is. Throws NotFoundError or IoError.
[[nodiscard]] std::unique_ptr<ByteStream> open_byte_stream(const std::filesystem::path& path);

}  // namespace nanochat
