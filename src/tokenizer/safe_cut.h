/// Where a long text can be cut and its pieces be encoded one by one.
#pragma once

#include <cstddef>
#include <string_view>

namespace nanochat {

/// The first place p >= `from`, 0 < p < size, such that the chunks of text[0, p) and those of
/// text[p, size) are together the chunks of `text`, whatever stands around it; so are the tokens.
/// npos when there is none in sight, or when the pattern is neither kNanochatPattern nor
/// kGpt4Pattern, of which alone this is known:
/// - between a line break and what is no white space, since of white space only \s*[\r\n] reaches a
///   line break and then stops behind the last one, as [\r\n]* behind punctuation does;
/// - between a letter and a space with a letter behind it, since letters end at a space and no
///   chunk that begins earlier crosses it.
/// (Only ASCII letters are looked for, and of other characters only those from U+4000, among which
/// is no white space.)
[[nodiscard]] size_t find_safe_cut(std::string_view pattern, std::string_view text, size_t from);

}  // namespace nanochat
