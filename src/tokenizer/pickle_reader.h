/// Reads the one kind of Python pickle that upstream writes: a tiktoken.Encoding.
///
/// A pickle is a program for a small stack machine, and Python's own reader calls whatever function
/// the file names. This one calls nothing. It follows the few instructions that build strings,
/// numbers, pairs and dicts, and knows two names, which it takes for data:
///
///     tiktoken.core Encoding    the one object: made without arguments, then given a dict of name,
///                               pat_str, mergeable_ranks and special_tokens
///     _codecs encode            of (text, "latin1"): how protocol 2 spells a byte string
///
/// Anything else is refused with the instruction and its offset.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nanochat {

struct PickledEncoding {
  std::string name;  ///< "rustbpe" when upstream's trainer made it
  std::string pattern;
  std::vector<std::pair<std::string, int64_t>> ranks;  ///< in the order of the file
  std::vector<std::pair<std::string, int64_t>> specials;
};

/// Protocols 2 to 5. Throws DataError naming `where` and the offset. Safe on any bytes: nothing
/// recurses, and the memory taken is in proportion to the file.
[[nodiscard]] PickledEncoding read_pickled_encoding(std::string_view bytes, std::string_view where);

}  // namespace nanochat
