#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/error.h"
#include "tokenizer/formats.h"
#include "tokenizer/formats_text.h"
#include "tokenizer/pickle_reader.h"

namespace nanochat {

Vocabulary parse_pickle(std::string_view bytes, std::string_view where) {
  PickledEncoding encoding = read_pickled_encoding(bytes, where);
  RankedTokens tokens(where);
  for (size_t i = 0; i < encoding.ranks.size(); ++i) {
    auto& [token, rank] = encoding.ranks[i];
    tokens.add(std::move(token), rank, fmt::format("mergeable_ranks, item {}", i));
  }
  Vocabulary vocabulary;
  vocabulary.pattern = std::move(encoding.pattern);
  vocabulary.tokens = tokens.take();
  for (auto& [name, id] : encoding.specials) {
    const auto in_range = static_cast<int32_t>(std::clamp<int64_t>(id, -1, INT32_MAX));
    if (!vocabulary.specials.emplace(name, in_range).second) {
      throw DataError("{}: the special token '{}' is there twice", where, printable(name));
    }
  }
  check_storable(vocabulary, where);
  return vocabulary;
}

}  // namespace nanochat
