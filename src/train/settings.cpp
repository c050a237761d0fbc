#include "train/settings.h"

#include <algorithm>
#include <string_view>

#include "core/error.h"

namespace nanochat {
namespace {

std::string key_of(const SettingInfo& info) {
  std::string key = info.name;
  std::ranges::replace(key, '-', '_');
  return key;
}

}  // namespace

DType dtype_named(const std::string& name, const Backend& backend) {
  if (name == "f32") return DType::kF32;
  if (name == "bf16") return DType::kBf16;
  return backend.preferred_dtype();
}

nlohmann::ordered_json to_json(const BaseTrainConfig& config) {
  nlohmann::ordered_json json;
  for_each_setting(config,
                   [&](const SettingInfo& info, const auto& value) { json[key_of(info)] = value; });
  return json;
}

BaseTrainConfig config_from_json(const nlohmann::ordered_json& json, const std::string& where) {
  BaseTrainConfig config;
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
  return config;
}

std::string to_toml(const BaseTrainConfig& config) {
  // Numbers, booleans, texts and lists of texts are written alike in JSON and TOML, save that a
  // TOML text spells DEL out.
  std::string text = "[train.base]\n";
  std::string_view group;
  for_each_setting(config, [&](const SettingInfo& info, const auto& value) {
    if (group != info.group) text += fmt::format("\n# {}\n", info.group);
    group = info.group;
    nlohmann::ordered_json json = value;
    text += fmt::format("{} = {}\n", info.name, json.dump());
  });
  return text;
}

std::vector<SettingDifference> differences(const BaseTrainConfig& before,
                                           const BaseTrainConfig& now) {
  const nlohmann::ordered_json a = to_json(before), b = to_json(now);
  std::vector<SettingDifference> result;
  for_each_setting(now, [&](const SettingInfo& info, const auto&) {
    const std::string key = key_of(info);
    if (a.at(key) != b.at(key)) result.push_back({info, a.at(key).dump(), b.at(key).dump()});
  });
  return result;
}

}  // namespace nanochat
