// Our own file: JSON that a person can read and compare line by line.
//
//     {
//     "format": "nanochat-tokenizer",
//     "version": 1,
//     "xxh3": "0123456789abcdef",        of the vocabulary, checksum_of
//     "pattern": "...",
//     "specials": {"<|bos|>": 261, ...}, in the order of their ids
//     "merges": [[116,104], ...]         token 256 + i is these two, one after the other; or
//     "tokens": ["AA==", ...]            the bytes of every token in base64, where merges do not
//     say
//     }
#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/error.h"
#include "tokenizer/formats.h"
#include "tokenizer/formats_merges.h"
#include "tokenizer/formats_text.h"

namespace nanochat {
namespace {

using nlohmann::json;

constexpr std::string_view kFormat = "nanochat-tokenizer";
constexpr int64_t kVersion = 1;
constexpr size_t kBytes = 256;  // single bytes, the ids before the first merge

std::string to_hex(uint64_t x) { return fmt::format("{:016x}", x); }

[[noreturn]] void refuse(std::string_view where, std::string_view what) {
  throw DataError("{}: {}: copy it again or train it again", where, what);
}

/// True when token b is byte b and every later token is merged from two earlier ones.
bool told_by_merges(const Vocabulary& vocabulary, const std::vector<MergeParts>& merges) {
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (id < kBytes) {
      if (vocabulary.tokens[id] != std::string(1, static_cast<char>(id))) return false;
    } else if (merges[id].left < 0 || std::cmp_greater_equal(merges[id].left, id) ||
               std::cmp_greater_equal(merges[id].right, id)) {
      return false;
    }
  }
  return true;
}

const json& field(const json& object, const char* name, json::value_t type,
                  std::string_view where) {
  const auto found = object.find(name);
  if (found == object.end()) refuse(where, fmt::format("the field '{}' is missing", name));
  const bool unsigned_too = type == json::value_t::number_integer && found->is_number_integer();
  if (found->type() != type && !unsigned_too) {
    refuse(where, fmt::format("the field '{}' is a {}", name, found->type_name()));
  }
  return *found;
}

std::vector<std::string> tokens_from_merges(const json& merges, std::string_view where) {
  std::vector<std::string> tokens;
  tokens.reserve(kBytes + merges.size());
  for (size_t byte = 0; byte < kBytes; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  int64_t total_bytes = kBytes;
  for (const json& merge : merges) {
    const auto id = static_cast<int64_t>(tokens.size());
    const auto part = [&](size_t i) -> const std::string& {
      const json& value = merge[i];
      const auto part_id = value.is_number_unsigned() ? value.get<uint64_t>() : UINT64_MAX;
      if (std::cmp_greater_equal(part_id, id)) {
        refuse(where, fmt::format("merges[{}] is not of earlier tokens", tokens.size() - kBytes));
      }
      return tokens[part_id];
    };
    if (!merge.is_array() || merge.size() != 2) {
      refuse(where, fmt::format("merges[{}] is not a pair", tokens.size() - kBytes));
    }
    std::string token = part(0) + part(1);
    // Tokens can double with every merge, so the limit is looked at before the next one.
    total_bytes += static_cast<int64_t>(token.size());
    if (total_bytes > kMaxVocabularyBytes) refuse(where, "its tokens together are too long");
    tokens.push_back(std::move(token));
  }
  return tokens;
}

std::vector<std::string> tokens_from_base64(const json& texts, std::string_view where) {
  std::vector<std::string> tokens;
  tokens.reserve(texts.size());
  for (const json& text : texts) {
    std::optional<std::string> token;
    if (text.is_string()) token = from_base64(text.get_ref<const std::string&>());
    if (!token) refuse(where, fmt::format("tokens[{}] is not base64", tokens.size()));
    tokens.push_back(std::move(*token));
  }
  return tokens;
}

}  // namespace

uint64_t checksum_of(const Vocabulary& vocabulary) {
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  const auto add_number = [&state](uint64_t x) {
    char bytes[8];  // little-endian on every machine
    for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(x >> 8 * i & 0xFF);
    XXH3_64bits_update(&state, bytes, sizeof(bytes));
  };
  const auto add_text = [&](std::string_view text) {
    add_number(text.size());
    XXH3_64bits_update(&state, text.data(), text.size());
  };
  add_text(vocabulary.pattern);
  add_number(vocabulary.tokens.size());
  for (const std::string& token : vocabulary.tokens) add_text(token);
  for (const auto& [name, id] : vocabulary.specials) {
    add_text(name);
    add_number(static_cast<uint64_t>(id));
  }
  return XXH3_64bits_digest(&state);
}

std::string format_ours(const Vocabulary& vocabulary) {
  check_storable(vocabulary, "this tokenizer");
  const auto quoted = [](std::string_view text) { return json(text).dump(); };
  std::string out;
  const auto add = std::back_inserter(out);
  fmt::format_to(add,
                 "{{\n\"format\": \"{}\",\n\"version\": {},\n\"xxh3\": \"{}\",\n\"pattern\": {},\n",
                 kFormat, kVersion, to_hex(checksum_of(vocabulary)), quoted(vocabulary.pattern));

  std::vector<std::pair<int32_t, std::string_view>> specials;
  for (const auto& [name, id] : vocabulary.specials) specials.emplace_back(id, name);
  std::ranges::sort(specials);
  out += "\"specials\": {";
  for (size_t i = 0; i < specials.size(); ++i) {
    fmt::format_to(add, "{}\n{}: {}", i == 0 ? "" : ",", quoted(specials[i].second),
                   specials[i].first);
  }

  const std::vector<MergeParts> merges = find_merges(vocabulary.tokens);
  if (told_by_merges(vocabulary, merges)) {
    out += "},\n\"merges\": [";
    for (size_t id = kBytes; id < merges.size(); ++id) {
      fmt::format_to(add, "{}\n[{},{}]", id == kBytes ? "" : ",", merges[id].left,
                     merges[id].right);
    }
  } else {
    out += "},\n\"tokens\": [";
    for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
      fmt::format_to(add, "{}\n\"{}\"", id == 0 ? "" : ",", to_base64(vocabulary.tokens[id]));
    }
  }
  out += "]\n}\n";
  return out;
}

Vocabulary parse_ours(std::string_view bytes, std::string_view where, bool checksum) {
  const json file = parse_json(bytes, where);
  if (!file.is_object()) refuse(where, "not a JSON object");
  if (field(file, "format", json::value_t::string, where) != kFormat) {
    throw DataError("{}: not a tokenizer of ours: its format is {}", where,
                    printable(file["format"].dump()));
  }
  const json& version = field(file, "version", json::value_t::number_integer, where);
  if (version != kVersion) {
    throw DataError("{}: version {} of the format, this program reads {}: use a newer program",
                    where, version.dump(), kVersion);
  }
  for (const auto& [name, value] : file.items()) {
    constexpr std::string_view kKnown[] = {"format",   "version", "xxh3",  "pattern",
                                           "specials", "merges",  "tokens"};
    if (std::ranges::find(kKnown, name) == std::end(kKnown)) {
      refuse(where, fmt::format("an unknown field '{}'", printable(name)));
    }
  }

  Vocabulary vocabulary;
  vocabulary.pattern = field(file, "pattern", json::value_t::string, where).get<std::string>();
  for (const auto& [name, id] : field(file, "specials", json::value_t::object, where).items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > INT32_MAX) {
      refuse(where, fmt::format("the special token '{}' has no id", printable(name)));
    }
    vocabulary.specials.emplace(name, id.get<int32_t>());
  }
  if (file.contains("merges") == file.contains("tokens")) {
    refuse(where, "it must hold either merges or tokens");
  }
  vocabulary.tokens =
      file.contains("merges")
          ? tokens_from_merges(field(file, "merges", json::value_t::array, where), where)
          : tokens_from_base64(field(file, "tokens", json::value_t::array, where), where);
  check_storable(vocabulary, where);
  const json& expected = field(file, "xxh3", json::value_t::string, where);
  if (checksum && expected != to_hex(checksum_of(vocabulary))) {
    refuse(where, "damaged: its contents do not match its checksum");
  }
  return vocabulary;
}

}  // namespace nanochat
