#include "train/settings.h"

#include <algorithm>

namespace nanochat {

DType dtype_named(const std::string& name, const Backend& backend) {
  if (name == "f32") return DType::kF32;
  if (name == "bf16") return DType::kBf16;
  return backend.preferred_dtype();
}

std::string key_of(const SettingInfo& info) {
  std::string key = info.name;
  std::ranges::replace(key, '-', '_');
  return key;
}

}  // namespace nanochat
