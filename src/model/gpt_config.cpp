#include "model/gpt_config.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <type_traits>

#include <nlohmann/json.hpp>

#include "core/error.h"

namespace nanochat {
namespace {

/// Calls f(name, field) for every field: the one list that saving and loading share.
template <typename Config, typename F>
void for_each_field(Config& c, F&& f) {
  f("sequence_len", c.sequence_len);
  f("vocab_size", c.vocab_size);
  f("n_layer", c.n_layer);
  f("n_head", c.n_head);
  f("n_kv_head", c.n_kv_head);
  f("n_embd", c.n_embd);
  f("pad_vocab_to", c.pad_vocab_to);
  f("rope_base", c.rope_base);
  f("softcap", c.softcap);
  f("rms_norm_eps", c.rms_norm_eps);
  f("qk_gain", c.qk_gain);
  f("window", c.window);
}
constexpr std::array kRequired{"sequence_len", "vocab_size", "n_layer",
                               "n_head",       "n_kv_head",  "n_embd"};

constexpr int64_t kChannelsPerLayer = 64, kHeadDim = 128, kMostDepth = 1 << 16;

int64_t heads_of_depth(int64_t depth) {
  return std::max<int64_t>(1, (kChannelsPerLayer * depth + kHeadDim - 1) / kHeadDim);
}

/// Whether the heads have a whole, even number of channels. Odd depths mostly do not: one head more
/// than depth / 2 shares 64 depth channels.
bool divides_into_heads(int64_t depth) {
  return kChannelsPerLayer * depth % (2 * heads_of_depth(depth)) == 0;
}

}  // namespace

GptConfig GptConfig::from_depth(int64_t depth, int64_t vocab_size, int64_t sequence_len) {
  if (depth <= 0 || depth > kMostDepth) {
    throw UsageError("depth {}: expected 1 to {}", depth, kMostDepth);
  }
  GptConfig c;
  c.sequence_len = sequence_len;
  c.vocab_size = vocab_size;
  c.n_layer = depth;
  c.n_embd = kChannelsPerLayer * depth;
  c.n_head = heads_of_depth(depth);
  c.n_kv_head = c.n_head;
  if (!divides_into_heads(depth)) {
    int64_t below = depth, above = depth;
    while (!divides_into_heads(below)) --below;  // 1 does
    while (!divides_into_heads(above)) ++above;
    throw UsageError(
        "depth {} gives {} channels, which do not divide into {} heads of about 128 each: choose "
        "depth {} or {} (every even one will do)",
        depth, c.n_embd, c.n_head, below, above);
  }
  c.validate();
  return c;
}

void GptConfig::validate() const {
  for_each_field(*this, [](const char* name, auto value) {
    using T = decltype(value);
    if (std::string_view(name) == "window") return;
    if (!(value > 0)) throw UsageError("{} is {}, expected a positive number", name, value);
    if constexpr (std::is_same_v<T, int64_t>) {
      if (value > (int64_t{1} << 31)) throw UsageError("{} is {}, at most 2^31", name, value);
    }
  });
  if (n_embd % n_head != 0) {
    throw UsageError("n_embd {} does not divide by n_head {}", n_embd, n_head);
  }
  if (n_head % n_kv_head != 0) {
    throw UsageError("n_head {} does not divide by n_kv_head {}", n_head, n_kv_head);
  }
  if (head_dim() % 2 != 0) {
    throw UsageError("the head dimension {} / {} = {} is odd, but rotary positions turn pairs",
                     n_embd, n_head, head_dim());
  }
}

int64_t GptConfig::num_params() const noexcept {
  const int64_t d = n_embd, kv = n_kv_head * head_dim();
  return 2 * padded_vocab_size() * d + n_layer * (2 * d * d + 2 * d * kv + 8 * d * d);
}

int64_t GptConfig::flops_per_token() const noexcept {
  return 6 * (num_params() - padded_vocab_size() * n_embd) +
         12 * n_layer * n_head * head_dim() * sequence_len;
}

std::string GptConfig::to_json() const {
  nlohmann::ordered_json json;
  for_each_field(*this, [&](const char* name, const auto& value) { json[name] = value; });
  return json.dump();
}

GptConfig GptConfig::parse_json(const std::string& text, const std::string& where) {
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) throw DataError("{}: the model configuration is not JSON", where);
  for (const char* name : kRequired) {
    if (!json.contains(name)) throw DataError("{}: model configuration lacks {}", where, name);
  }
  GptConfig config;
  size_t known = 0;
  for_each_field(config, [&](const char* name, auto& field) {
    if (!json.contains(name)) return;
    ++known;
    const auto& value = json[name];
    if constexpr (std::is_same_v<std::decay_t<decltype(field)>, int64_t>) {
      if (!value.is_number_integer()) {
        throw DataError("{}: model configuration: {} is not an integer", where, name);
      }
    } else if (!value.is_number()) {
      throw DataError("{}: model configuration: {} is not a number", where, name);
    }
    field = value.get<std::decay_t<decltype(field)>>();
  });
  if (known != json.size()) {
    for (const auto& item : json.items()) {
      const std::string& name = item.key();
      bool found = false;
      for_each_field(config, [&](const char* n, auto&) { found |= name == n; });
      if (!found) {
        throw DataError("{}: model configuration: '{}' belongs to another architecture", where,
                        name);
      }
    }
  }
  try {
    config.validate();
  } catch (const UsageError& e) {
    throw DataError("{}: model configuration: {}", where, e.what());
  }
  return config;
}

}  // namespace nanochat
