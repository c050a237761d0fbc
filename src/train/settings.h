/// A BaseTrainConfig as JSON and TOML, and what differs between two.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "ops/backend.h"
#include "train/base_config.h"

namespace nanochat {

/// "f32", "bf16"; "auto" is what the backend is fastest in.
[[nodiscard]] DType dtype_named(const std::string& name, const Backend& backend);

/// One member for each setting, names with underscores.
[[nodiscard]] nlohmann::ordered_json to_json(const BaseTrainConfig& config);
/// Settings that are absent keep their defaults, names that are not known are ignored: another
/// version wrote them. Throws DataError naming `where` for a value of the wrong type.
[[nodiscard]] BaseTrainConfig config_from_json(const nlohmann::ordered_json& json,
                                               const std::string& where);

/// What --config reads back.
[[nodiscard]] std::string to_toml(const BaseTrainConfig& config);

struct SettingDifference {
  SettingInfo info;
  std::string before, now;  ///< as JSON
};
[[nodiscard]] std::vector<SettingDifference> differences(const BaseTrainConfig& before,
                                                         const BaseTrainConfig& now);

}  // namespace nanochat
