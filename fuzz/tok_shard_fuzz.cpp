/// Any bytes at all are a .tok file whose every id may be read, or are refused with a DataError.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "core/error.h"
#include "data/tok_shard.h"

namespace {

void read(std::span<const std::byte> bytes, bool checksums) {
  const auto shard = nanochat::TokShard::parse(bytes, "input", checksums);
  const nanochat::TokShardHeader& header = shard.header();
  std::vector<int32_t> ids;
  for (int64_t group = 0; group < header.n_groups; ++group) {
    shard.check_group(group);
    for (int64_t d = shard.first_document(group); d < shard.first_document(group + 1); ++d) {
      shard.append_ids(shard.first_token(d), shard.first_token(d + 1), ids);
    }
  }
  NC_CHECK(static_cast<int64_t>(ids.size()) == header.n_tokens);
  NC_CHECK(std::ranges::all_of(ids, [&](int32_t id) { return id >= 0 && id < header.vocab_size; }));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Aligned as a mapping is, in a block of its own so that the sanitizer fences it.
  std::vector<uint64_t> aligned((size + 7) / 8);
  if (size > 0) std::memcpy(aligned.data(), data, size);
  const auto bytes = std::as_bytes(std::span(aligned)).first(size);
  for (const bool checksums : {false, true}) {
    try {
      read(bytes, checksums);
    } catch (const nanochat::DataError&) {
    }
  }
  return 0;
}
