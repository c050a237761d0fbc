/// What a trained tokenizer is: byte strings with ids, special tokens, and how text is split first.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace nanochat {

/// Upstream's split pattern: GPT-4's with digits in ones and twos instead of up to three.
inline constexpr std::string_view kNanochatPattern =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)";
/// GPT-4's (cl100k_base), rustbpe's own default.
inline constexpr std::string_view kGpt4Pattern =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)";

/// Upstream's nine, in the order in which they follow the mergeable tokens.
inline constexpr std::string_view kSpecialTokens[] = {
    "<|bos|>",           "<|user_start|>",   "<|user_end|>",   "<|assistant_start|>",
    "<|assistant_end|>", "<|python_start|>", "<|python_end|>", "<|output_start|>",
    "<|output_end|>"};

/// The data of a tokenizer, independent of how it is used or stored. Formats read and write this;
/// Tokenizer (tokenizer.h) encodes with it.
struct Vocabulary {
  /// Ids have 21 bits, so that three of them fit in a word (bpe_encoder_tables.h). The largest
  /// vocabularies known have 2^18.
  static constexpr size_t kMaxTokens = size_t{1} << 21;

  std::string pattern{kNanochatPattern};
  /// The mergeable tokens' bytes by rank; rank = id = order of merging. Distinct, none empty. All
  /// 256 single bytes are among them: our own have byte b at id b, GPT-2's are permuted.
  std::vector<std::string> tokens;
  /// Special tokens and their ids, which are none of the ranks; gaps are allowed (cl100k_base).
  std::map<std::string, int32_t, std::less<>> specials;

  /// max id + 1, upstream's vocab_size.
  [[nodiscard]] int32_t size() const noexcept;
  /// Throws DataError naming `where` and what is wrong: a token twice or empty, a byte missing, an
  /// id taken twice, or more than kMaxTokens tokens.
  void validate(std::string_view where) const;

  /// Upstream's: bytes, then the merges' results in order, then kSpecialTokens.
  [[nodiscard]] static Vocabulary from_tokens(std::vector<std::string> tokens,
                                              std::string_view pattern = kNanochatPattern);
  friend bool operator==(const Vocabulary&, const Vocabulary&) = default;
};

}  // namespace nanochat
