/// Text files into .tok files (tok_shard.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "data/document_source.h"
#include "data/tok_shard.h"
#include "tokenizer/tokenizer.h"

namespace nanochat {

/// The .tok file of each of `files`, in a folder: with ".tok" behind the name and, where names
/// alone would not keep the order of the files or two are the same, a number in front.
[[nodiscard]] std::vector<std::filesystem::path> tok_file_names(
    std::span<const std::filesystem::path> files);

/// The header of `tok` if it is what tokenize_file would make again, undamaged: then there is
/// nothing to do. Reads all of it, and of `text` both ends.
[[nodiscard]] std::optional<TokShardHeader> find_tokenized(const std::filesystem::path& text,
                                                           const std::filesystem::path& tok,
                                                           const Tokenizer& tokenizer,
                                                           const DocumentSourceOptions& options);

/// Writes the documents of `text` to `tok`, whole or not at all, on all cores. Calls `progress`
/// with the bytes of documents so far; what it throws ends the work. Throws as DocumentSource (also
/// with skip_bad_shards: a bad file is the caller's to leave out) and AtomicFile.
TokShardHeader tokenize_file(const std::filesystem::path& text, const std::filesystem::path& tok,
                             const Tokenizer& tokenizer, const DocumentSourceOptions& options,
                             const std::function<void(int64_t)>& progress);

}  // namespace nanochat
