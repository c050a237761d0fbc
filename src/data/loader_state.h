/// What a token loader's state says in JSON, and whether it fits what is there now.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/token_loader.h"
#include "data/token_producer.h"

namespace nanochat {

/// Tells data from other data without reading all of it.
struct DataFingerprint {
  int64_t files = 0, bytes = 0;
  uint64_t xxh3 = 0;  ///< of names, sizes, both ends of each file, the parts, and how text is read
};

/// Throws NotFoundError or IoError for a file that cannot be read (not with skip_bad_shards).
[[nodiscard]] DataFingerprint fingerprint_of(const std::vector<DataPart>& parts,
                                             const DocumentSourceOptions& options);

/// What must be the same for a state to be gone on with.
struct LoaderIdentity {
  DataFingerprint data;
  uint64_t tokenizer = 0;  ///< checksum_of its vocabulary
};

[[nodiscard]] std::string position_to_json(const StreamPosition& position,
                                           const LoaderIdentity& identity,
                                           const TokenLoaderOptions& options);

/// Throws UsageError saying what is not the same, DataError for what position_to_json did not
/// write.
[[nodiscard]] StreamPosition position_from_json(std::string_view text,
                                                const LoaderIdentity& identity,
                                                const TokenLoaderOptions& options);

}  // namespace nanochat
