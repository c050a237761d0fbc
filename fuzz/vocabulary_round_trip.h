/// What must hold for every vocabulary that an importer has let in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/error.h"
#include "tokenizer/formats.h"

namespace nanochat::fuzz {

/// Each format that we write gives it back.
inline void check_round_trips(const Vocabulary& v) {
  v.validate("an imported vocabulary");
  NC_CHECK(parse_ours(format_ours(v), "ours") == v);
  NC_CHECK(parse_tiktoken(format_tiktoken(v), "tiktoken",
                          {.pattern = v.pattern, .specials = v.specials}) == v);
  std::string huggingface;
  try {
    huggingface = format_huggingface(v);
  } catch (const DataError&) {  // a special token that is spelled as an ordinary one
  }
  if (!huggingface.empty()) NC_CHECK(parse_huggingface(huggingface, "hf") == v);
}

/// For LLVMFuzzerTestOneInput: any bytes are a vocabulary or refused with a DataError.
template <typename Parse>
void check_importer(const uint8_t* data, size_t size, const Parse& parse) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Vocabulary vocabulary;
  try {
    vocabulary = parse(bytes);
  } catch (const DataError&) {
    return;
  }
  check_round_trips(vocabulary);
}

}  // namespace nanochat::fuzz
