/// By both patterns: the chunks of any bytes are a partition, the same one that their text with
/// U+FFFD for ill-formed parts has; and on code points that PCRE2 classes as we do, the scanner
/// cuts as PCRE2.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "tokenizer/pcre2_splitter.h"
#include "tokenizer/splitter.h"
#include "tokenizer/unicode_tables.h"
#include "tokenizer/utf8.h"

namespace {

using nanochat::Pcre2Splitter;
using nanochat::Splitter;
using nanochat::unicode::CharClass;
using nanochat::unicode::kMaxCodePoint;
namespace utf8 = nanochat::utf8;

/// Which code points PCRE2 classes as we do. Its Unicode may be another version, and its \s has
/// U+180E. It is asked by one pattern on each character with three commas, of which a letter takes
/// none, a number one, white space two, and any other character all.
std::vector<bool> find_common_code_points() {
  const Pcre2Splitter classes(R"(\p{L}|\p{N},|\s,,)");
  constexpr CharClass kByCommas[] = {CharClass::kLetter, CharClass::kNumber, CharClass::kSpace,
                                     CharClass::kOther};
  std::vector<bool> common(kMaxCodePoint + 1, false);
  std::vector<size_t> ends;
  int n_common = 0;
  for (char32_t cp = 0; cp <= kMaxCodePoint; ++cp) {
    if (cp >= 0xD800 && cp <= 0xDFFF) continue;
    std::string text;
    utf8::append(text, cp);
    const size_t length = text.size();
    classes.split(text + ",,,", ends);
    common[cp] = kByCommas[ends.front() - length] == nanochat::unicode::class_of(cp);
    n_common += common[cp];
  }
  NC_CHECK(n_common > 1'090'000, "only {} code points in common", n_common);
  return common;
}

/// Without ill-formed parts and without code points of which the two disagree.
std::string common_text(std::string_view text) {
  static const std::vector<bool> common = find_common_code_points();
  std::string kept;
  for (size_t at = 0; at < text.size();) {
    const utf8::Character c = utf8::decode(text, at);
    if (c.valid && common[c.code_point]) kept += text.substr(at, c.length);
    at += c.length;
  }
  return kept;
}

void check_partition(std::string_view text, const std::vector<size_t>& ends) {
  size_t begin = 0;
  for (const size_t end : ends) {
    NC_CHECK(end > begin, "chunk from {} to {}", begin, end);
    begin = end;
  }
  NC_CHECK(begin == text.size(), "chunks end at {} of {}", begin, text.size());
}

void check(std::string_view text, const Splitter& scanner, const Pcre2Splitter& pcre2) {
  std::vector<size_t> ends, others;
  scanner.split(text, ends);
  check_partition(text, ends);
  const std::string replaced = utf8::replace_invalid(text);
  scanner.split(replaced, others);
  check_partition(replaced, others);
  NC_CHECK(ends.size() == others.size());
  for (size_t i = 0, begin = 0, other = 0; i < ends.size(); begin = ends[i], other = others[i++]) {
    NC_CHECK(utf8::replace_invalid(text.substr(begin, ends[i] - begin)) ==
             std::string_view(replaced).substr(other, others[i] - other));
  }
  pcre2.split(text, others);
  check_partition(text, others);

  const std::string common = common_text(text);
  scanner.split(common, ends);
  pcre2.split(common, others);
  NC_CHECK(ends == others);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Splitter two(nanochat::kNanochatPattern), three(nanochat::kGpt4Pattern);
  static const Pcre2Splitter pcre2_two(nanochat::kNanochatPattern);
  static const Pcre2Splitter pcre2_three(nanochat::kGpt4Pattern);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check(text, two, pcre2_two);
  check(text, three, pcre2_three);
  return 0;
}
