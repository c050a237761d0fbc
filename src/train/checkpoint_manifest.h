/// manifest.json: what files a checkpoint has, and how to tell that each is as it was written.
///
///   {
///   "format": "nanochat-checkpoint",
///   "version": 1,
///   "step": 100,
///   "world_size": 1,
///   "files": {
///   "model.safetensors": {"bytes": 294967, "xxh3": "0123456789abcdef"},
///   ...
///   },
///   "xxh3": "0123456789abcdef"
///   }
///
/// The last line but one is the XXH3 of all the lines before it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "core/xxh3.h"

namespace nanochat {

struct CheckpointManifest {
  int64_t step = 0;
  int64_t world_size = 1;
  std::map<std::string, FileDigest, std::less<>> files;  ///< by "optim/rank_0.safetensors"

  /// One manifest, one text.
  [[nodiscard]] std::string to_text() const;
  /// Throws DataError, which begins with `where`, unless the text is one that to_text gives.
  [[nodiscard]] static CheckpointManifest parse(std::string_view text, const std::string& where);
};

/// Throws DataError naming the file, unless the folder holds exactly the listed files, in the
/// listed sizes, beside the manifest. Reads no contents. IoError when the folder cannot be read.
void check_files(const std::filesystem::path& folder, const CheckpointManifest& manifest);

}  // namespace nanochat
