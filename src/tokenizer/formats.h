/// Tokenizer files: our own, and those of the programs around us. docs/formats.md describes them.
///
///                    name in a folder           read   write
///     ours           tokenizer.nanochat.json    yes    yes
///     Hugging Face   tokenizer.json             yes    yes   byte-level BPE only
///     upstream       tokenizer.pkl              yes    no    a pickle; nothing in it is executed
///     tiktoken       *.tiktoken                 yes    yes   ranks only: no pattern, no specials
///
/// The parsers are pure functions of bytes and safe on any bytes. They throw DataError, which names
/// `where` (the file) and the place in it. What they return has passed Vocabulary::validate;
/// whether its pattern is a regular expression shows when a Tokenizer is made of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "tokenizer/vocabulary.h"

namespace nanochat {

enum class TokenizerFormat : uint8_t { kOurs, kHuggingFace, kPickle, kTiktoken };
/// "nanochat", "huggingface", "pickle", "tiktoken": what --format calls them.
[[nodiscard]] std::string_view name_of(TokenizerFormat format) noexcept;
[[nodiscard]] std::optional<TokenizerFormat> tokenizer_format_from_name(std::string_view name);

inline constexpr std::string_view kTokenizerFileName = "tokenizer.nanochat.json";
/// All tokens of a vocabulary together; more is refused in both directions. (A few merges can stand
/// for a token of any length, so the size of a file does not bound it.)
inline constexpr int64_t kMaxVocabularyBytes = int64_t{1} << 28;

// ---- ours: version 1. The same vocabulary gives the same bytes; any damage is refused.

[[nodiscard]] std::string format_ours(const Vocabulary& vocabulary);
/// `checksum`: false lets a wrong one pass; for the fuzzer, which cannot invent right ones.
[[nodiscard]] Vocabulary parse_ours(std::string_view bytes, std::string_view where,
                                    bool checksum = true);
/// XXH3 (64 bits) of all that a vocabulary says, however it is stored. Two tokenizers with the same
/// checksum give the same ids. Also what the file of ours holds.
[[nodiscard]] uint64_t checksum_of(const Vocabulary& vocabulary);

// ---- tiktoken: a line "base64(bytes) rank" for each token

/// What a file of ranks leaves open.
struct TiktokenSettings {
  std::string pattern{kNanochatPattern};
  /// Not given: the nine of upstream, right after the ranks.
  std::optional<std::map<std::string, int32_t, std::less<>>> specials;
};
/// Special tokens and pattern are left out: the format has no place for them.
[[nodiscard]] std::string format_tiktoken(const Vocabulary& vocabulary);
/// Lines in any order; the ranks must be 0, 1, 2, ... without a gap.
[[nodiscard]] Vocabulary parse_tiktoken(std::string_view bytes, std::string_view where,
                                        const TiktokenSettings& settings = {});

// ---- Hugging Face: the tokenizer.json of the package `tokenizers`

/// The package gives the same ids as we do for every text without a special token's name in it.
/// (It turns such a name into the special token, where we do not unless asked; its attribute
/// encode_special_tokens makes it do as we do.)
/// Throws DataError when a special token is spelled as an ordinary token is in this format.
[[nodiscard]] std::string format_huggingface(const Vocabulary& vocabulary);
/// Reads byte-level BPE whose merges are in the order of the ids and whose text is split by a
/// regular expression first: ours, those that transformers makes of tiktoken's, GPT-2's. Refuses
/// whatever would give other ids than `tokenizers` gives, with the field that is to blame. Padding,
/// truncation and the post-processor, which do not change how text is encoded, are ignored.
[[nodiscard]] Vocabulary parse_huggingface(std::string_view bytes, std::string_view where);

// ---- upstream's tokenizer.pkl: a pickled tiktoken.Encoding (pickle_reader.h)

[[nodiscard]] Vocabulary parse_pickle(std::string_view bytes, std::string_view where);

// ---- files

/// Finds out which of the formats a file has, by its contents; of a folder, by the names above and
/// in their order. `settings` are for files of ranks alone. Throws NotFoundError, IoError,
/// DataError.
[[nodiscard]] Vocabulary load_vocabulary(const std::filesystem::path& path,
                                         const TiktokenSettings& settings = {});
/// Writes the file whole or not at all. A path that is a folder gets the format's usual name in it
/// (tokenizer.tiktoken). Throws UsageError for kPickle, which we do not write.
void save_vocabulary(const Vocabulary& vocabulary, const std::filesystem::path& path,
                     TokenizerFormat format = TokenizerFormat::kOurs);

}  // namespace nanochat
