/// Byte-pair encoding of chunks that a splitter has cut.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/bpe_encoder_tables.h"

namespace nanochat {

/// Encodes chunks as tiktoken does: one that is a token is that token; else, starting from its
/// bytes, the two neighbours that make the token of the lowest id are merged, the leftmost first,
/// until no two make one.
///
/// A chunk costs one look-up when it is a token. One that is not falls into pieces where no token
/// can cross (SpanFilter); a piece is a token, or one of those seen lately, or is merged: by
/// scanning for the lowest id while it is short, with a heap beyond (O(n log n): a megabyte of one
/// letter takes a fraction of a second). Threads may share one encoder.
class BpeEncoder {
 public:
  /// Working memory of one thread, made ready by its first use. It remembers recent pieces, which
  /// changes how long encoding takes and never its result; so it belongs to one encoder for good.
  class Scratch {
   private:
    friend class BpeEncoder;
    /// A short piece of several tokens; one cache line.
    struct alignas(64) SeenPiece {
      static constexpr size_t kMaxIds = 9;
      ShortKey key;  // size 0: none
      uint32_t n_ids = 0;
      int32_t ids[kMaxIds] = {};
    };
    static_assert(sizeof(SeenPiece) == 64);
    /// A part of a long piece, at the index of its first byte; a doubly linked list.
    struct Part {
      int32_t id;
      int32_t merged;  // with the next part, or kNoToken
      int32_t previous;
      int32_t next;
    };
    std::vector<SeenPiece> seen;
    std::vector<Part> parts;
    std::vector<uint64_t> heap;
  };

  /// Takes the chunks of one text, from a splitter, and appends their ids; the last of them when it
  /// is finished.
  class Run {
   public:
    Run(const BpeEncoder& encoder, std::string_view text, Scratch& scratch,
        std::vector<int32_t>& ids);

    /// `chunk` lies within the text and is not empty. Throws DataError when it is of 2 GiB or more
    /// and does not fall into pieces.
    void add(std::string_view chunk) {
      Waiting& waiting = waiting_[n_waiting_++];
      waiting.chunk = chunk;
      if (chunk.size() <= ShortKey::kMaxSize) [[likely]] {
        const auto readable = static_cast<size_t>(text_end_ - chunk.data());
        waiting.key = ShortKey::load(chunk.data(), chunk.size(), readable);
        waiting.hash = waiting.key.hash();
        encoder_.token_of_.prefetch(waiting.hash);
      }
      if (n_waiting_ == kWaiting) encode_waiting();
    }
    void finish() {
      encode_waiting();
      flush();
    }

   private:
    /// Chunks wait for a moment while the memory of their look-ups is fetched: English is a half
    /// faster by it when other work keeps taking the cache away.
    struct Waiting {
      std::string_view chunk;
      ShortKey key;
      uint64_t hash = 0;
    };
    static constexpr int kWaiting = 32;
    void encode_waiting();
    void flush();
    void add_short(std::string_view chunk, const ShortKey& key, uint64_t hash);
    void add_long(std::string_view chunk);
    void add_pieces(std::string_view chunk);
    void add_piece(std::string_view piece);
    bool add_seen(const ShortKey& key, uint64_t hash) noexcept;
    void merge_and_remember(std::string_view piece, const ShortKey& key, uint64_t hash);

    // Ids gather here, so that not each one asks the vector for room.
    static constexpr int kBuffer = 512;

    const BpeEncoder& encoder_;
    const char* text_end_;
    Scratch& scratch_;
    std::vector<int32_t>& ids_;
    int n_waiting_ = 0;
    Waiting waiting_[kWaiting];
    int n_buffered_ = 0;
    int32_t buffer_[kBuffer];
  };

  /// Keeps views of `tokens` (a valid Vocabulary's), which must stay where they are.
  explicit BpeEncoder(std::span<const std::string> tokens);

 private:
  static constexpr int kMaxShort = 64;  // bytes: a bit of a word each

  int parts_of_characters(std::string_view piece, int32_t* parts) const noexcept;
  int merge_short(std::string_view piece, int32_t* ids) const noexcept;
  void merge_long(std::string_view piece, Scratch& scratch, std::vector<int32_t>& ids) const;
  void learn_pairs(std::span<const std::string> tokens);
  void learn_characters(std::span<const std::string> tokens);
  [[nodiscard]] bool is_made_by_merging(int32_t id) const noexcept {
    return never_made_.empty() || !never_made_[static_cast<size_t>(id)];
  }

  TokenTable token_of_;
  SpanFilter span_filter_;
  PairTable pairs_;
  std::vector<int32_t> byte_ids_;    // [256]
  std::vector<int32_t> byte_pairs_;  // [256 * 256], as pairs_: the first look-up at every byte
  std::vector<bool> never_made_;     // by id; empty when all are made, as in what we train
  bool in_order_ = true;             // each token that is made comes after its two parts
  // Where merging may start from characters; both empty while it may not.
  std::vector<int32_t> character_ids_;  // [2^16], by code point
  std::vector<bool> cut_pairs_;         // [2^16]
};

}  // namespace nanochat
