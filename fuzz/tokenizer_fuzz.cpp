/// Any bytes at all encode to ids that decode to these bytes, and to the ids that the definition of
/// byte-pair encoding gives; streamed, they give the text of the whole. The first byte chooses one
/// of several vocabularies, trained and arbitrary.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "support/naive_bpe.h"
#include "tokenizer/tokenizer.h"

namespace {

using nanochat::Vocabulary;

/// Repeatable without a library's help: fuzzing must find the same vocabularies everywhere.
struct Random {
  uint64_t state;
  size_t below(size_t n) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return static_cast<size_t>(state >> 33) % n;
  }
};

/// All single bytes and n_more tokens of the letters in `alphabet`: each the two parts of earlier
/// ones as training makes them, or else any string at any rank.
Vocabulary make_vocabulary(uint64_t seed, bool trained, std::string_view alphabet,
                           std::string_view pattern) {
  Random random{seed};
  std::vector<std::string> tokens;
  for (int b = 0; b < 256; ++b) tokens.emplace_back(1, static_cast<char>(b));
  std::set<std::string> known(tokens.begin(), tokens.end());
  std::vector<std::string> parts;
  for (const char c : alphabet) parts.emplace_back(1, c);
  while (tokens.size() < 456) {
    std::string token;
    if (trained) {
      token = parts[random.below(parts.size())] + parts[random.below(parts.size())];
    } else {
      const size_t size = 2 + random.below(random.below(8) == 0 ? 80 : 4);
      while (token.size() < size) token += alphabet[random.below(alphabet.size())];
    }
    if (token.size() > 100 || !known.insert(token).second) continue;
    parts.push_back(token);
    tokens.push_back(std::move(token));
  }
  if (!trained) {
    for (size_t i = tokens.size(); i > 1; --i) std::swap(tokens[i - 1], tokens[random.below(i)]);
  }
  return Vocabulary::from_tokens(std::move(tokens), pattern);
}

/// As training on Chinese makes them: characters, words, and one token that is cut from within a
/// character, so that merging may start from characters in most places.
Vocabulary vocabulary_of_characters(uint64_t seed) {
  constexpr std::string_view kCharacters[] = {"\xc3\xa9", "\xe4\xbd\xa0", "\xe5\xa5\xbd",
                                              "\xe5\xbd\xa9", "\xf0\x9f\xa0\xa5"};
  Random random{seed};
  std::vector<std::string> tokens;
  for (int b = 0; b < 256; ++b) tokens.emplace_back(1, static_cast<char>(b));
  std::set<std::string> known(tokens.begin(), tokens.end());
  std::vector<std::string> parts = {"a"};
  const auto add = [&](const std::string& token) {
    if (known.insert(token).second) tokens.push_back(token);
  };
  for (const std::string_view character : kCharacters) {
    for (size_t n = 2; n <= character.size(); ++n) add(std::string(character.substr(0, n)));
    parts.emplace_back(character);
  }
  add(parts[random.below(parts.size())] + kCharacters[1 + random.below(4)][0]);
  while (tokens.size() < 330) {
    const std::string token = parts[random.below(parts.size())] + parts[random.below(parts.size())];
    if (token.size() > 40) continue;
    add(token);
    parts.push_back(token);
  }
  return Vocabulary::from_tokens(std::move(tokens));
}

struct Subject {
  explicit Subject(const Vocabulary& vocabulary) : naive(vocabulary), fast(vocabulary) {}
  nanochat::test::NaiveBpe naive;
  nanochat::Tokenizer fast;
};

const std::vector<std::unique_ptr<Subject>>& subjects() {
  static const auto all = [] {
    std::vector<std::unique_ptr<Subject>> made;
    for (uint64_t seed = 0; seed < 8; ++seed) {
      constexpr std::string_view kAlphabets[] = {"aaabbc d1\n",
                                                 "a\xe4\xbd\xa0\xe5\xa5\xbd\xf0\xff"};
      made.push_back(std::make_unique<Subject>(
          make_vocabulary(seed, seed % 2 == 0, kAlphabets[seed / 2 % 2],
                          seed < 4 ? nanochat::kNanochatPattern : nanochat::kGpt4Pattern)));
    }
    for (uint64_t seed = 0; seed < 4; ++seed) {
      made.push_back(std::make_unique<Subject>(vocabulary_of_characters(seed)));
    }
    return made;
  }();
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > 4096) return 0;  // the definition is quadratic at least
  const Subject& subject = *subjects()[data[0] % subjects().size()];
  // An exact copy on the heap, so that a sanitizer sees a read behind the end.
  const std::vector<char> copy(data + 1, data + size);
  const std::string_view text(copy.data(), copy.size());
  const std::vector<int32_t> ids = subject.fast.encode(text);
  NC_CHECK(subject.fast.decode_bytes(ids) == text);
  NC_CHECK(ids == subject.naive.encode(text));

  nanochat::StreamDecoder stream(subject.fast);
  std::string streamed;
  for (const int32_t id : ids) streamed += stream.push(id);
  streamed += stream.finish();
  NC_CHECK(streamed == subject.fast.decode(ids));
  return 0;
}
