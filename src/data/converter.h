/// Documents from files of any kind into parquet shards.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "data/document_source.h"

namespace nanochat {

struct ConvertOptions {
  std::filesystem::path out;  ///< a folder, which is made when it is missing
  bool shuffle = true;
  uint64_t seed = 42;
  int64_t shard_chars = 250'000'000;        ///< a shard ends where it has these and full row groups
  int64_t row_group = 1024;                 ///< documents
  int64_t memory_bytes = int64_t{1} << 30;  ///< for shuffling (document_shuffle.h)
};

struct ConvertedShard {
  std::filesystem::path path;
  int64_t documents = 0;
  int64_t characters = 0;
  int64_t bytes = 0;  ///< of the file
};

struct ConvertReport {
  std::vector<ConvertedShard> shards;
  int64_t documents = 0;
  int64_t characters = 0;
  int64_t repaired_documents = 0;  ///< whose bytes were not UTF-8; those became U+FFFD
  int64_t files = 0;
  std::vector<std::string> skipped;  ///< files given up, with the reason
};

enum class ConvertPhase : uint8_t { kReading, kWriting };

/// Writes shard_00000.parquet, shard_00001.parquet, ... (shard_writer.h) as upstream's repackaging
/// does: a shard ends as soon as it has shard_chars characters and a multiple of row_group
/// documents. What is left over, which upstream drops, is written too, as the last shard; when it
/// has less than a tenth of shard_chars, it is added to the shard before instead. Because the last
/// shard is for validation, there are at least two when there are two documents: a corpus for one
/// shard is cut behind nine tenths of its documents (at a full row group, if there is one).
///
/// The same documents, seed and sizes give the same files, whatever the memory. Without shuffling
/// the files are read twice, since the sizes must be known beforehand.
///
/// The shards take their names when all of them are complete; until then they are in a folder
/// .convert.part, which is removed when this throws, and by the next conversion when the process
/// was killed. `progress` gets how many documents have been read or written, the total (0: not
/// known yet), and may throw.
///
/// Throws as DocumentSource; UsageError when `out` holds documents already, or is being written to
/// by another process; DataError when there is no document; IoError.
[[nodiscard]] ConvertReport convert_documents(
    std::span<const std::string> paths, const DocumentSourceOptions& source_options,
    const ConvertOptions& options,
    const std::function<void(ConvertPhase, int64_t done, int64_t total)>& progress);

}  // namespace nanochat
