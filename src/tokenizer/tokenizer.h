/// Text to token ids and back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace nanochat {

/// Byte-level BPE with the ids that tiktoken gives for the same ranks: a chunk that is a token as
/// it stands is that token; else the adjacent pair whose concatenation has the lowest rank is
/// merged, the leftmost first, until none is a token. Time is linear in the text up to a logarithm,
/// also for a megabyte of one letter. Threads may share one.
class Tokenizer {
 public:
  /// Throws as Vocabulary::validate and Splitter.
  explicit Tokenizer(Vocabulary vocabulary);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  [[nodiscard]] const Vocabulary& vocabulary() const noexcept;
  [[nodiscard]] int32_t vocab_size() const noexcept;  ///< max id + 1
  /// "<|bos|>", or "<|endoftext|>" of OpenAI's vocabularies. Throws NotFoundError if neither.
  [[nodiscard]] int32_t bos_id() const;
  /// The id of one special token; throws NotFoundError.
  [[nodiscard]] int32_t special_id(std::string_view name) const;
  [[nodiscard]] bool is_special(int32_t id) const noexcept;

  /// Ordinary text: what looks like a special token is text.
  [[nodiscard]] std::vector<int32_t> encode(std::string_view text) const;
  /// Appends to `ids`.
  void encode_to(std::string_view text, std::vector<int32_t>& ids) const;
  /// Each text on its own, on all cores, in order; `prepend` and `append` go round every one.
  [[nodiscard]] std::vector<std::vector<int32_t>> encode_batch(
      std::span<const std::string_view> texts, std::optional<int32_t> prepend = {},
      std::optional<int32_t> append = {}) const;
  /// Special tokens that stand in the text by name become their ids, everything between them is
  /// ordinary text. Only for text of one's own: never for what a user typed.
  [[nodiscard]] std::vector<int32_t> encode_with_specials(std::string_view text) const;

  /// The bytes of one token; a special token's name. Throws DataError for an id that is none.
  [[nodiscard]] std::string_view token_bytes(int32_t id) const;
  /// The concatenated bytes, exactly.
  [[nodiscard]] std::string decode_bytes(std::span<const int32_t> ids) const;
  /// As UTF-8, each maximal ill-formed part replaced by U+FFFD.
  [[nodiscard]] std::string decode(std::span<const int32_t> ids) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Decodes a stream of tokens for a reader: text comes out as soon as its characters are complete,
/// a character cut between two tokens waits, and what can never become valid turns into U+FFFD.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
  /// The text that this token completes, possibly empty; always whole UTF-8.
  [[nodiscard]] std::string push(int32_t id);
  /// What is left, with U+FFFD for a character that never came; then ready for another stream.
  [[nodiscard]] std::string finish();

 private:
  const Tokenizer* tokenizer_;
  std::string pending_;
};

/// Bytes that each id stands for, for bits per byte; 0 for special tokens. [vocab_size].
/// kTrueBytes is modern upstream's. kReplaced is classic's, known to count 3 for every U+FFFD of a
/// token that is not valid UTF-8 alone; only for comparing with its figures.
enum class TokenBytesRule : uint8_t { kTrueBytes, kReplaced };
[[nodiscard]] std::vector<int32_t> token_byte_counts(
    const Tokenizer& tokenizer, TokenBytesRule rule = TokenBytesRule::kTrueBytes);

}  // namespace nanochat
