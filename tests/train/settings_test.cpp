#include "train/settings.h"

#include <set>

#include <gtest/gtest.h>

#include "core/error.h"
#include "train/base_config.h"

namespace nanochat {
namespace {

const BaseTrainConfig defaults;

/// Every setting other than its default.
BaseTrainConfig changed() {
  BaseTrainConfig c;
  for_each_setting(c, [](const SettingInfo&, auto& value) {
    using T = std::decay_t<decltype(value)>;
    if constexpr (std::is_same_v<T, bool>) {
      value = !value;
    } else if constexpr (std::is_same_v<T, std::string>) {
      value += "\t\"\\\n\u4f60";
    } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      value.emplace_back("a b");
    } else {
      value += 3;
    }
  });
  return c;
}

BaseTrainConfig read(const nlohmann::ordered_json& json) {
  BaseTrainConfig c;
  read_settings(json, "state.json", c);
  return c;
}

TEST(Settings, ComeBackFromJson) {
  const BaseTrainConfig c = changed();
  EXPECT_TRUE(differences(read(to_json(c)), c).empty());
  EXPECT_TRUE(differences(read({}), BaseTrainConfig{}).empty());
}

TEST(Settings, DifferencesAreFoundInEachOfThem) {
  size_t n = 0;
  for_each_setting(defaults, [&](const SettingInfo&, const auto&) { ++n; });
  const auto found = differences(BaseTrainConfig{}, changed());
  EXPECT_EQ(found.size(), n);
  EXPECT_EQ(std::string(found[0].info.name), "depth");
  EXPECT_EQ(found[0].before, "20");
  EXPECT_EQ(found[0].now, "23");
}

TEST(Settings, NamesAreDistinct) {
  std::set<std::string> names;
  for_each_setting(defaults, [&](const SettingInfo& info, const auto&) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
  });
}

TEST(Settings, AValueOfAnotherTypeIsRefusedByName) {
  try {
    static_cast<void>(read({{"depth", "four"}}));
    FAIL() << "no error";
  } catch (const DataError& e) {
    EXPECT_STREQ(e.what(), "state.json: setting 'depth' is \"four\": not of the type it has");
  }
}

}  // namespace
}  // namespace nanochat
