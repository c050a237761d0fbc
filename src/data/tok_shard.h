/// .tok files: documents as token ids, to be mapped. docs/formats.md says where each byte stands.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/file.h"
#include "core/storage.h"
#include "core/xxh3.h"

namespace nanochat {

/// What a .tok file says about itself.
struct TokShardHeader {
  int64_t vocab_size = 0;  ///< the tokenizer's; every id is below
  uint64_t tokenizer = 0;  ///< checksum_of its vocabulary
  uint64_t source = 0;     ///< of the file that was tokenised and of how it was read
  int64_t n_tokens = 0;    ///< without the one that begins a document, which is not stored
  int64_t n_documents = 0;
  int64_t n_groups = 0;
  /// Of a single document: the tokens before the place where split.h cuts its text, if the tokens
  /// of both sides are together those of the whole; else 0.
  int64_t cut_token = 0;

  /// 2 or 4.
  [[nodiscard]] int64_t id_bytes() const noexcept { return vocab_size <= 1 << 16 ? 2 : 4; }
};

/// A .tok file, or its bytes. Threads may share it.
class TokShard {
 public:
  /// Maps the file. Throws as parse and map_file.
  explicit TokShard(const std::filesystem::path& path);
  /// Looks at all but the ids. Throws DataError, which names `where`, for bytes that are not a .tok
  /// file, are cut off or damaged. `bytes`, aligned to 8, must outlive the shard. `checksums`:
  /// false lets wrong ones pass; for the fuzzer, which cannot invent right ones.
  [[nodiscard]] static TokShard parse(std::span<const std::byte> bytes, std::string_view where,
                                      bool checksums = true);

  [[nodiscard]] const TokShardHeader& header() const noexcept { return header_; }
  /// Of document i, or of all; document n_documents begins at the end.
  [[nodiscard]] int64_t first_token(int64_t document) const noexcept {
    return document == 0 ? 0
                         : static_cast<int64_t>(document_ends_[static_cast<size_t>(document - 1)]);
  }
  [[nodiscard]] int64_t first_document(int64_t group) const noexcept {
    return group == 0 ? 0 : static_cast<int64_t>(groups_[static_cast<size_t>(group - 1)].end);
  }
  /// Reads the ids of a row group; throws DataError when they are damaged or none of the tokenizer.
  void check_group(int64_t group) const;
  /// Appends ids [begin, end).
  void append_ids(int64_t begin, int64_t end, std::vector<int32_t>& ids) const;

 private:
  struct Group {
    uint64_t end;   // documents up to its end
    uint64_t xxh3;  // of its ids
  };
  friend class TokShardWriter;

  TokShard() = default;
  void check_index() const;
  [[noreturn]] void refuse(std::string_view what) const;

  std::string where_;
  StoragePtr file_;
  TokShardHeader header_;
  std::span<const std::byte> ids_;
  std::span<const uint64_t> document_ends_;
  std::span<const Group> groups_;
  bool checksums_ = true;
};

/// Writes a .tok file, which is under a temporary name until commit() (core/file.h, AtomicFile).
/// Memory: 8 bytes for every document. Throws IoError. Not thread-safe.
class TokShardWriter {
 public:
  /// Of `header`, vocab_size, tokenizer and source.
  TokShardWriter(const std::filesystem::path& path, const TokShardHeader& header);

  /// Of the document that is open; piece by piece.
  void append(std::span<const int32_t> ids);
  void end_document();
  /// Ends a row group, possibly an empty one.
  void end_group();
  /// Ends the last row group, if it is open, and the file.
  void commit(int64_t cut_token = 0);
  [[nodiscard]] const TokShardHeader& header() const noexcept { return header_; }

 private:
  TokShardHeader header_;
  AtomicFile file_;
  std::vector<uint64_t> document_ends_;
  std::vector<TokShard::Group> groups_;
  std::optional<Xxh3> hash_;  // of the group's ids
  std::vector<uint16_t> narrow_;
};

}  // namespace nanochat
