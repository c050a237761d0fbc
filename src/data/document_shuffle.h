/// Documents in an order that a seed decides, also when they do not fit into memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>

namespace nanochat {

/// Document number i gets 64 random bits, philox(seed, i), as its key, and documents come out in
/// the order of their keys. The order is thus a function of the seed and of what came in, and not
/// of how much memory there is.
///
/// Up to memory_bytes are held. When there are more, all go into 128 temporary files by the first 7
/// bits of their keys; a file that fits is then read and sorted, a larger one is first split by the
/// next 7 bits, and so on. So the disk needs room for the documents once, uncompressed, and a
/// little more; each is written once for every factor of 128 by which they exceed the memory. Only
/// a single document must fit. The files have no names and are gone with the process, however it
/// ends. Not thread-safe.
class DocumentShuffle {
 public:
  /// `folder`, which must exist, is where temporary files would be.
  DocumentShuffle(std::filesystem::path folder, int64_t memory_bytes, uint64_t seed);
  ~DocumentShuffle();
  DocumentShuffle(const DocumentShuffle&) = delete;
  DocumentShuffle& operator=(const DocumentShuffle&) = delete;

  /// Throws IoError when the disk is full.
  void add(std::string_view document);
  /// All of them, each valid during its call; once. Throws IoError, and what `f` throws.
  void drain(const std::function<void(std::string_view)>& f);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nanochat
