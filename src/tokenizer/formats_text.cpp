#include "tokenizer/formats_text.h"

#include <algorithm>
#include <array>
#include <utility>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "tokenizer/formats.h"
#include "tokenizer/utf8.h"

namespace nanochat {

std::string printable(std::string_view text) {
  constexpr size_t kMaxCharacters = 100;
  const std::string_view shown = utf8::crop(text, kMaxCharacters);
  std::string s = utf8::replace_invalid(shown);
  const auto is_control = [](char c) { return static_cast<uint8_t>(c) < ' ' || c == 127; };
  std::ranges::replace_if(s, is_control, '?');
  return shown.size() < text.size() ? s + "..." : s;
}

// ---- base64

namespace {

constexpr std::string_view kBase64Digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The value of each digit, -1 for other bytes.
constexpr std::array<int8_t, 256> kBase64Values = [] {
  std::array<int8_t, 256> values{};
  values.fill(-1);
  for (size_t i = 0; i < kBase64Digits.size(); ++i) {
    values[static_cast<uint8_t>(kBase64Digits[i])] = static_cast<int8_t>(i);
  }
  return values;
}();

}  // namespace

std::string to_base64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t n = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) {
      group = group << 8 | (k < n ? static_cast<uint8_t>(bytes[i + k]) : 0U);
    }
    for (size_t k = 0; k < 4; ++k) {
      text += k <= n ? kBase64Digits[group >> (18 - 6 * k) & 63] : '=';
    }
  }
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return {};
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  for (size_t i = 0; i < text.size(); i += 4) {
    const bool last = i + 4 == text.size();
    size_t n_digits = 4;
    if (last && text[i + 3] == '=') n_digits = text[i + 2] == '=' ? 2 : 3;
    uint32_t group = 0;
    for (size_t k = 0; k < 4; ++k) {
      const int8_t value = k < n_digits ? kBase64Values[static_cast<uint8_t>(text[i + k])] : 0;
      if (value < 0) return {};
      group = group << 6 | static_cast<uint32_t>(value);
    }
    // The bits that padding leaves over are zero, so that one value has one spelling.
    if ((n_digits == 3 && (group & 0xFF) != 0) || (n_digits == 2 && (group & 0xFFFF) != 0))
      return {};
    for (size_t k = 0; k + 1 < n_digits; ++k) {
      bytes += static_cast<char>(group >> (16 - 8 * k) & 0xFF);
    }
  }
  return bytes;
}

// ---- JSON

nlohmann::json parse_json(std::string_view bytes, std::string_view where) {
  try {
    return nlohmann::json::parse(bytes);
  } catch (const nlohmann::json::parse_error& e) {
    throw DataError("{}: not JSON, from byte {} on: download it or write it again", where, e.byte);
  } catch (const nlohmann::json::out_of_range&) {
    throw DataError("{}: a number in it is out of range: download it or write it again", where);
  }
}

// ---- vocabularies

void check_storable(const Vocabulary& vocabulary, std::string_view where) {
  vocabulary.validate(where);
  int64_t total_bytes = 0;
  for (const std::string& token : vocabulary.tokens) {
    total_bytes += static_cast<int64_t>(token.size());
  }
  if (total_bytes > kMaxVocabularyBytes) {
    throw DataError("{}: the tokens take {} bytes, at most {} are supported", where, total_bytes,
                    kMaxVocabularyBytes);
  }
  const auto is_utf8 = [](std::string_view s) { return utf8::find_invalid(s) == s.size(); };
  if (!is_utf8(vocabulary.pattern)) throw DataError("{}: the split pattern is not UTF-8", where);
  for (const auto& [name, id] : vocabulary.specials) {
    if (!is_utf8(name)) throw DataError("{}: the name of special token {} is not UTF-8", where, id);
  }
}

void RankedTokens::add(std::string bytes, int64_t rank, std::string_view place) {
  if (bytes.empty()) throw DataError("{}: {}: an empty token", where_, place);
  if (rank < 0) throw DataError("{}: {}: the rank {} is negative", where_, place, rank);
  if (!by_rank_.emplace(rank, std::move(bytes)).second) {
    throw DataError("{}: {}: the rank {} is there twice", where_, place, rank);
  }
}

std::vector<std::string> RankedTokens::take() {
  std::vector<std::string> tokens;
  tokens.reserve(by_rank_.size());
  while (tokens.size() < by_rank_.size()) {
    const auto found = by_rank_.find(static_cast<int64_t>(tokens.size()));
    if (found == by_rank_.end()) {
      throw DataError("{}: no token has the rank {}, though there are {} tokens", where_,
                      tokens.size(), by_rank_.size());
    }
    tokens.push_back(std::move(found->second));
  }
  return tokens;
}

}  // namespace nanochat
