// The tokenizer.json of Hugging Face's package `tokenizers`, as far as it says what we can do.
#include <algorithm>
#include <array>
#include <iterator>
#include <set>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "tokenizer/formats.h"
#include "tokenizer/formats_merges.h"
#include "tokenizer/formats_text.h"
#include "tokenizer/utf8.h"

namespace nanochat {
namespace {

using nlohmann::json;

/// The pattern that `ByteLevel` splits by when no other is given: GPT-2's.
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// ---- the byte-level alphabet

/// JSON cannot hold bytes, so GPT-2 wrote each as a printable character: those of Latin-1 that are
/// visible stand for themselves, the other 68 are U+0100, U+0101, ... in the order of the bytes.
struct ByteAlphabet {
  std::array<std::string, 256> letters;         // by byte, UTF-8
  std::array<int16_t, 0x180> byte_of_letter{};  // by code point; -1: not in the alphabet

  ByteAlphabet() {
    byte_of_letter.fill(-1);
    char32_t next = 0x100;
    for (char32_t byte = 0; byte < 256; ++byte) {
      const bool visible = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
      const char32_t letter = visible ? byte : next++;
      byte_of_letter[letter] = static_cast<int16_t>(byte);
      utf8::append(letters[byte], letter);
    }
  }
};

const ByteAlphabet& alphabet() {
  static const ByteAlphabet instance;
  return instance;
}

std::string to_letters(std::string_view bytes) {
  std::string letters;
  for (const char byte : bytes) letters += alphabet().letters[static_cast<uint8_t>(byte)];
  return letters;
}

/// Nothing when a character is not of the alphabet.
std::optional<std::string> from_letters(std::string_view letters) {
  const auto& byte_of_letter = alphabet().byte_of_letter;
  std::string bytes;
  for (size_t i = 0; i < letters.size();) {
    const utf8::Character c = utf8::decode(letters, i);
    if (c.code_point >= byte_of_letter.size() || byte_of_letter[c.code_point] < 0) return {};
    bytes += static_cast<char>(byte_of_letter[c.code_point]);
    i += c.length;
  }
  return bytes;
}

// ---- reading

class HuggingFaceReader {
 public:
  HuggingFaceReader(const json& file, std::string_view where) : file_(file), where_(where) {}

  Vocabulary read() {
    if (!file_.is_object()) refuse("", "not a JSON object");
    if (!is_null_or_absent(file_, "normalizer")) {
      unsupported("normalizer", "text is encoded as it is");
    }
    if (!is_null_or_absent(file_, "decoder") && type_of(file_["decoder"]) != "ByteLevel") {
      unsupported("decoder", "it must be ByteLevel");
    }
    vocabulary_.pattern = read_pattern();
    read_specials();
    read_tokens();
    read_merges();
    check_storable(vocabulary_, where_);
    // The merges are compared with those that the ranks imply, which takes a valid vocabulary.
    check_merges();
    return std::move(vocabulary_);
  }

 private:
  [[noreturn]] void refuse(std::string_view place, std::string_view what) const {
    throw DataError("{}: {}{}{}", where_, place, place.empty() ? "" : ": ", what);
  }
  [[noreturn]] void unsupported(std::string_view place, std::string_view what) const {
    refuse(place, fmt::format("not supported, since the ids would differ: {}", what));
  }

  static bool is_null_or_absent(const json& object, const char* name) {
    const auto found = object.find(name);
    return found == object.end() || found->is_null();
  }
  static std::string type_of(const json& value) {
    if (!value.is_object() || !value.contains("type") || !value["type"].is_string()) return "";
    return value["type"].get<std::string>();
  }
  static bool is(const json& object, const char* name, bool expected, bool when_absent) {
    const auto found = object.find(name);
    if (found == object.end()) return when_absent == expected;
    return found->is_boolean() && found->get<bool>() == expected;
  }
  static int64_t id_in(const json& value) {  // -1: none
    const bool fits = value.is_number_unsigned() && value.get<uint64_t>() <= INT32_MAX;
    return fits ? value.get<int64_t>() : -1;
  }

  std::string read_pattern() const {
    constexpr std::string_view kExpected =
        "it must be a Split by a regular expression (Isolated), then ByteLevel without regex and "
        "without prefix space; or ByteLevel alone";
    const json none;
    const json& pre = file_.contains("pre_tokenizer") ? file_["pre_tokenizer"] : none;
    const auto is_byte_level = [](const json& step, bool use_regex) {
      return type_of(step) == "ByteLevel" && is(step, "add_prefix_space", false, true) &&
             is(step, "use_regex", use_regex, true);
    };
    if (is_byte_level(pre, true)) return std::string(kGpt2Pattern);
    if (type_of(pre) != "Sequence" || !pre.contains("pretokenizers") ||
        !pre["pretokenizers"].is_array() || pre["pretokenizers"].size() != 2) {
      unsupported("pre_tokenizer", kExpected);
    }
    const json& split = pre["pretokenizers"][0];
    if (!is_byte_level(pre["pretokenizers"][1], false) || type_of(split) != "Split" ||
        !is(split, "invert", false, false) || !split.contains("behavior") ||
        split["behavior"] != "Isolated" || !split.contains("pattern") ||
        !split["pattern"].is_object() || !split["pattern"].contains("Regex") ||
        !split["pattern"]["Regex"].is_string()) {
      unsupported("pre_tokenizer", kExpected);
    }
    return split["pattern"]["Regex"].get<std::string>();
  }

  void read_specials() {
    if (is_null_or_absent(file_, "added_tokens")) return;
    const json& added = file_["added_tokens"];
    if (!added.is_array()) refuse("added_tokens", "not a list");
    for (size_t i = 0; i < added.size(); ++i) {
      const std::string place = fmt::format("added_tokens[{}]", i);
      const json& token = added[i];
      const int64_t id = token.is_object() && token.contains("id") ? id_in(token["id"]) : -1;
      if (id < 0) refuse(place, "no id");
      if (!token.contains("content") || !token["content"].is_string()) refuse(place, "no content");
      if (!is(token, "special", true, false)) {
        unsupported(place, "a token that is not special would be found in ordinary text");
      }
      if (!vocabulary_.specials
               .emplace(token["content"].get<std::string>(), static_cast<int32_t>(id))
               .second) {
        refuse(place, "this token is there twice");
      }
    }
  }

  const json& model_field(const char* name) const {
    const json& model = file_["model"];
    if (!model.contains(name)) refuse(fmt::format("model.{}", name), "missing");
    return model[name];
  }

  void read_tokens() {
    const json none;
    const json& model = file_.contains("model") ? file_["model"] : none;
    if (type_of(model) != "BPE") refuse("model", "not of the type BPE, the only one supported");
    for (const char* const name : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
      if (!is_null_or_absent(model, name) && model[name] != "" && model[name] != 0) {
        unsupported(fmt::format("model.{}", name), "byte-level BPE has none");
      }
    }
    const json& vocab = model_field("vocab");
    if (!vocab.is_object()) refuse("model.vocab", "not an object");
    RankedTokens tokens(where_);
    for (const auto& [letters, value] : vocab.items()) {
      const std::string place = fmt::format("model.vocab, token '{}'", printable(letters));
      const int64_t id = id_in(value);
      if (id < 0) refuse(place, "no id");
      const auto special = vocabulary_.specials.find(letters);
      if (special != vocabulary_.specials.end()) {  // some programs list them here as well
        if (special->second != id) refuse(place, "another id than in added_tokens");
        continue;
      }
      std::optional<std::string> bytes = from_letters(letters);
      if (!bytes) unsupported(place, "not written in the byte-level alphabet");
      tokens.add(std::move(*bytes), id, place);
    }
    for (const auto& [name, id] : vocabulary_.specials) {
      if (std::cmp_less(id, tokens.size())) {  // as trainers of `tokenizers` number them
        unsupported("added_tokens",
                    fmt::format("'{}' has the id {}, but special tokens must come after the {} "
                                "ordinary ones",
                                printable(name), id, tokens.size()));
      }
    }
    vocabulary_.tokens = tokens.take();
  }

  /// ["a", "b"], or "a b" as older versions write it.
  std::pair<std::string, std::string> merge_in(const json& merge, const std::string& place) const {
    std::string left, right;
    if (merge.is_string()) {
      const auto& text = merge.get_ref<const std::string&>();
      const size_t space = text.find(' ');
      if (space == std::string::npos) refuse(place, "not a pair");
      left = text.substr(0, space);
      right = text.substr(space + 1);
    } else {
      if (!merge.is_array() || merge.size() != 2 || !merge[0].is_string() ||
          !merge[1].is_string()) {
        refuse(place, "not a pair");
      }
      left = merge[0].get<std::string>();
      right = merge[1].get<std::string>();
    }
    auto left_bytes = from_letters(left);
    auto right_bytes = from_letters(right);
    if (!left_bytes || !right_bytes) refuse(place, "not written in the byte-level alphabet");
    return {std::move(*left_bytes), std::move(*right_bytes)};
  }

  void read_merges() {
    std::unordered_map<std::string_view, int32_t> ids;
    for (size_t id = 0; id < vocabulary_.tokens.size(); ++id) {
      ids.emplace(vocabulary_.tokens[id], static_cast<int32_t>(id));
    }
    const json& merges = model_field("merges");
    if (!merges.is_array()) refuse("model.merges", "not a list");
    int32_t last = -1;
    for (size_t i = 0; i < merges.size(); ++i) {
      const std::string place = fmt::format("model.merges[{}]", i);
      const auto [left, right] = merge_in(merges[i], place);
      const auto id_of = [&](const std::string& bytes) {
        const auto found = ids.find(bytes);
        if (found == ids.end()) refuse(place, "a token that is not in the vocabulary");
        return found->second;
      };
      const int32_t merged = id_of(left + right);
      if (merged < last) {
        unsupported(place, fmt::format("it makes token {} after token {}: merges must be in the "
                                       "order of the ids",
                                       merged, last));
      }
      last = merged;
      merges_.emplace(merged, MergeParts{id_of(left), id_of(right)});
    }
  }

  /// With ids as ranks, exactly the merges of find_merges ever apply; so those must be there, and
  /// others do no harm.
  void check_merges() const {
    const bool whole_chunks = is(file_["model"], "ignore_merges", true, false);
    const std::vector<MergeParts> implied = find_merges(vocabulary_.tokens);
    for (size_t id = 0; id < implied.size(); ++id) {
      const std::string place = fmt::format("model.merges, token {}", id);
      if (implied[id].left < 0) {
        if (!whole_chunks && vocabulary_.tokens[id].size() > 1) {
          unsupported(place, "no merges lead to it, and ignore_merges is not true");
        }
        continue;
      }
      const auto [begin, end] = merges_.equal_range(static_cast<int32_t>(id));
      if (std::none_of(begin, end, [&](const auto& m) { return m.second == implied[id]; })) {
        unsupported(place, fmt::format("its merge of {} and {} is missing", implied[id].left,
                                       implied[id].right));
      }
    }
  }

  const json& file_;
  std::string_view where_;
  Vocabulary vocabulary_;
  std::unordered_multimap<int32_t, MergeParts> merges_;  // by the id of the result
};

// ---- writing

using IdAndName = std::pair<int32_t, std::string_view>;

/// In the order of the ids. Throws DataError for a name that stands for an ordinary token too.
std::vector<IdAndName> specials_by_id(const Vocabulary& vocabulary) {
  std::vector<IdAndName> specials;
  for (const auto& [name, id] : vocabulary.specials) {
    const std::optional<std::string> bytes = from_letters(name);
    if (bytes && std::ranges::find(vocabulary.tokens, *bytes) != vocabulary.tokens.end()) {
      throw DataError(
          "this tokenizer: tokenizer.json spells an ordinary token as the special token '{}': "
          "rename the special token",
          printable(name));
    }
    specials.emplace_back(id, name);
  }
  std::ranges::sort(specials);
  return specials;
}

}  // namespace

std::string format_huggingface(const Vocabulary& vocabulary) {
  check_storable(vocabulary, "this tokenizer");
  const std::vector<IdAndName> specials = specials_by_id(vocabulary);
  const auto quoted = [](std::string_view text) { return json(text).dump(); };
  std::string out;
  const auto add = std::back_inserter(out);

  out += R"({
"version": "1.0",
"truncation": null,
"padding": null,
"added_tokens": [)";
  for (size_t i = 0; i < specials.size(); ++i) {
    fmt::format_to(add,
                   R"({}
{{"id": {}, "content": {}, "single_word": false, "lstrip": false, "rstrip": false, )"
                   R"("normalized": false, "special": true}})",
                   i == 0 ? "" : ",", specials[i].first, quoted(specials[i].second));
  }
  // ignore_merges: a chunk that is a token as it stands is that token, as in tiktoken.
  fmt::format_to(add, R"(],
"normalizer": null,
"pre_tokenizer": {{"type": "Sequence", "pretokenizers": [
{{"type": "Split", "pattern": {{"Regex": {}}}, "behavior": "Isolated", "invert": false}},
{{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}}]}},
"post_processor": null,
"decoder": {{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}},
"model": {{
"type": "BPE",
"dropout": null,
"unk_token": null,
"continuing_subword_prefix": null,
"end_of_word_suffix": null,
"fuse_unk": false,
"byte_fallback": false,
"ignore_merges": true,
"vocab": {{)",
                 quoted(vocabulary.pattern));

  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    fmt::format_to(add, "{}\n{}: {}", id == 0 ? "" : ",", quoted(to_letters(vocabulary.tokens[id])),
                   id);
  }
  // `tokenizers` numbers added tokens by itself, from the size of the vocabulary on. Where that
  // would give other ids, they stand in the vocabulary too.
  const bool gaps =
      !specials.empty() &&
      std::cmp_not_equal(specials.back().first + 1, vocabulary.tokens.size() + specials.size());
  for (const auto& [id, name] : specials) {
    if (gaps) fmt::format_to(add, ",\n{}: {}", quoted(name), id);
  }
  out += "},\n\"merges\": [";
  const std::vector<MergeParts> merges = find_merges(vocabulary.tokens);
  bool first = true;
  for (const MergeParts& merge : merges) {
    if (merge.left < 0) continue;
    // "a b" and not ["a", "b"]: versions before 0.20 read nothing else.
    fmt::format_to(add, "{}\n{}", first ? "" : ",",
                   quoted(to_letters(vocabulary.tokens[static_cast<size_t>(merge.left)]) + " " +
                          to_letters(vocabulary.tokens[static_cast<size_t>(merge.right)])));
    first = false;
  }
  out += "]\n}\n}\n";
  return out;
}

Vocabulary parse_huggingface(std::string_view bytes, std::string_view where) {
  const json file = parse_json(bytes, where);
  return HuggingFaceReader(file, where).read();
}

}  // namespace nanochat
