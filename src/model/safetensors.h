/// Weights in files: the safetensors format, read by memory map and written as a stream.
///
///   8 bytes   the length of the header, unsigned, little-endian
///   header    JSON: {"__metadata__": {text: text}, name: {"dtype": "F32", "shape": [2, 3],
///             "data_offsets": [begin, end]}, ...}, padded with spaces
///   data      every tensor's elements, little-endian, offsets from here, without gaps or overlaps
///
/// docs/formats.md says what we add to it: alignment and checksums.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.h"
#include "core/xxh3.h"

namespace nanochat {

using SafetensorsMetadata = std::map<std::string, std::string, std::less<>>;

/// One tensor of a file.
struct SafetensorsEntry {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
  int64_t begin_bytes = 0;  ///< in the file, from its first byte
  int64_t size_bytes = 0;
  std::optional<uint64_t> checksum;  ///< absent in files that other programs wrote
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;               ///< in the order of their data
  std::map<std::string, size_t, std::less<>> by_name;  ///< index into entries
  SafetensorsMetadata metadata;                        ///< without our checksums
};

/// Reads and validates a whole file's header; looks at no tensor's data and at no disk.
///   file   all bytes of the file
///   name   what to call it in errors
/// Throws DataError that names the file, and the tensor where there is one, unless: the header's
/// length fits the file and is at most 100 MB; the JSON has exactly the fields above, none twice;
/// every dtype is one of ours (F64 F32 BF16 F16 I64 I32 U8), every shape has at most four extents,
/// and size, dtype and shape agree; the data are covered once and without gaps; the checksum of the
/// metadata, when there is one, is right. Memory: a small multiple of the header's length.
[[nodiscard]] SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file,
                                                         std::string_view name);

/// What opening a file checks beyond its header. Both read every byte of the data.
struct SafetensorsChecks {
  bool checksums = true;  ///< verify()
  bool finite = false;    ///< check_finite()
};

/// A file's tensors, mapped into memory: opening costs no copy, and pages are read as they are
/// touched. Threads may share a const SafetensorsFile.
class SafetensorsFile {
 public:
  /// Throws NotFoundError or IoError when it cannot be opened, else as parse_safetensors_header,
  /// verify and check_finite.
  explicit SafetensorsFile(const std::filesystem::path& path, SafetensorsChecks checks = {});
  /// The same for a file that is in memory already; `name` is what errors call it.
  SafetensorsFile(StoragePtr bytes, std::string name, SafetensorsChecks checks = {});

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// In the order of their data, which is not the order in which they were given to the writer.
  [[nodiscard]] std::span<const SafetensorsEntry> entries() const noexcept {
    return header_.entries;
  }
  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] const SafetensorsMetadata& metadata() const noexcept { return header_.metadata; }
  [[nodiscard]] bool contains(std::string_view tensor_name) const;
  /// Throws DataError when the file has no such tensor.
  [[nodiscard]] const SafetensorsEntry& info(std::string_view tensor_name) const;
  /// A view of the mapped file, which stays mapped as long as the view lives. The pages are
  /// READ-ONLY: to write through the view ends the process, so clone() what will change. A tensor
  /// that is not aligned to its element size (never in files of ours) is copied instead.
  /// Throws as info().
  [[nodiscard]] Tensor tensor(std::string_view tensor_name) const;

  /// True for files that write_safetensors made: every tensor has a checksum.
  [[nodiscard]] bool has_checksums() const noexcept;
  /// Throws DataError naming the first tensor that differs from its checksum, in its bytes, name,
  /// dtype or shape. Tensors without a checksum pass. All cores take part.
  void verify() const;
  /// Throws NumericError naming the first tensor that holds a NaN or an infinity, and where.
  void check_finite() const;

 private:
  std::string name_;
  StoragePtr bytes_;
  SafetensorsHeader header_;
};

struct NamedTensor {
  std::string name;  ///< upstream's state-dict key: "transformer.h.0.attn.c_q.weight"
  Tensor tensor;     ///< on the host
};

/// Writes tensors and `metadata` with checksums: to a temporary name, flushed to disk, renamed to
/// `path`; whatever goes wrong, a file that was there before stays as it was. Tensor bytes go from
/// their storage to the file: no second copy is made. Same input, same bytes. Returns what was
/// written, hashed on the way.
///   finite   refuse (NumericError) a NaN or an infinity before anything is written
/// Names must be distinct, and metadata keys must not begin with "nanochat.xxh3". Throws IoError
/// (disk full, no permission) and DataError when a name or a metadata text is not UTF-8.
FileDigest write_safetensors(const std::filesystem::path& path,
                             std::span<const NamedTensor> tensors,
                             const SafetensorsMetadata& metadata = {}, bool finite = false);

}  // namespace nanochat
