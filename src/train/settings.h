/// A stage's settings as JSON and TOML, and what differs between two. `Config` is a struct with a
/// for_each_setting (base_config.h, finetune_config.h, rl_config.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "ops/backend.h"
#include "train/stage_settings.h"

namespace nanochat {

/// "f32", "bf16"; "auto" is what the backend is fastest in.
[[nodiscard]] DType dtype_named(const std::string& name, const Backend& backend);

/// The setting's name with underscores: its key in JSON.
[[nodiscard]] std::string key_of(const SettingInfo& info);

/// One member for each setting.
template <typename Config>
[[nodiscard]] nlohmann::ordered_json to_json(const Config& config) {
  nlohmann::ordered_json json;
  for_each_setting(config,
                   [&](const SettingInfo& info, const auto& value) { json[key_of(info)] = value; });
  return json;
}

/// Takes the settings that are there into `config`; names that are not known are ignored: another
/// version wrote them. Throws DataError naming `where` for a value of the wrong type.
template <typename Config>
void read_settings(const nlohmann::ordered_json& json, const std::string& where, Config& config) {
  for_each_setting(config, [&](const SettingInfo& info, auto& value) {
    const auto found = json.find(key_of(info));
    if (found == json.end()) return;
    try {
      found->get_to(value);
    } catch (const nlohmann::json::exception&) {
      throw DataError("{}: setting '{}' is {}: not of the type it has", where, key_of(info),
                      found->dump());
    }
  });
}

/// What --config reads back: a table [section].
template <typename Config>
[[nodiscard]] std::string to_toml(const Config& config, std::string_view section) {
  // Numbers, booleans, texts and lists of texts are written alike in JSON and TOML, save that a
  // TOML text spells DEL out.
  std::string text = fmt::format("[{}]\n", section);
  std::string_view group;
  for_each_setting(config, [&](const SettingInfo& info, const auto& value) {
    if (group != info.group) text += fmt::format("\n# {}\n", info.group);
    group = info.group;
    const nlohmann::ordered_json json = value;
    text += fmt::format("{} = {}\n", info.name, json.dump());
  });
  return text;
}

struct SettingDifference {
  SettingInfo info;
  std::string before, now;  ///< as JSON
};
template <typename Config>
[[nodiscard]] std::vector<SettingDifference> differences(const Config& before, const Config& now) {
  const nlohmann::ordered_json a = to_json(before), b = to_json(now);
  std::vector<SettingDifference> result;
  for_each_setting(now, [&](const SettingInfo& info, const auto&) {
    const std::string key = key_of(info);
    if (a.at(key) != b.at(key)) result.push_back({info, a.at(key).dump(), b.at(key).dump()});
  });
  return result;
}

}  // namespace nanochat
