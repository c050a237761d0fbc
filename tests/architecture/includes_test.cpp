/// The layer below never knows the layer above: reads the #include lines under src/.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace nanochat {
namespace {

namespace fs = std::filesystem;

/// The rooms under each room: those it may include. docs/architecture.md draws the same order.
const std::map<std::string, std::set<std::string>>& rooms_under() {
  static const auto table = [] {
    // From the lowest: rooms of one line do not know each other.
    const std::vector<std::vector<std::string>> kLevels{
        {"core"},     {"ops"},
        {"autograd"}, {"tokenizer", "model", "optim", "dist"},
        {"data"},     {"engine"},
        {"tasks"},    {"eval"},
        {"train"},    {"serve", "report"},
        {"cli"}};
    std::map<std::string, std::set<std::string>> under;
    std::set<std::string> below;
    for (const auto& level : kLevels) {
      for (const std::string& room : level) under[room] = below;
      below.insert(level.begin(), level.end());
    }
    // These stand higher than they need to.
    under["tokenizer"] = {"core"};
    under["dist"] = {"core"};
    under["data"] = {"core", "tokenizer", "dist"};
    return under;
  }();
  return table;
}

/// The path between the quotes of an #include "..." line.
std::optional<std::string> quoted_include(std::string_view line) {
  const auto skip_spaces = [&line] {
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  };
  skip_spaces();
  if (!line.starts_with('#')) return std::nullopt;
  line.remove_prefix(1);
  skip_spaces();
  if (!line.starts_with("include")) return std::nullopt;
  line.remove_prefix(std::string_view("include").size());
  skip_spaces();
  if (!line.starts_with('"')) return std::nullopt;
  line.remove_prefix(1);
  return std::string(line.substr(0, line.find('"')));
}

/// One line for each include that breaks the order; n_includes counts all that were looked at.
std::vector<std::string> violations(const fs::path& src, int& n_includes) {
  const auto& under = rooms_under();
  std::vector<std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(src)) {
    const std::set<std::string> kSources{".h", ".cpp", ".cu", ".cuh"};
    if (!entry.is_regular_file() || !kSources.contains(entry.path().extension())) continue;
    const fs::path file = entry.path().lexically_relative(src);
    const std::string room = *file.begin();
    if (!under.contains(room)) {
      found.push_back(fmt::format("{}: there is no room '{}'", file.string(), room));
      continue;
    }
    std::ifstream in(entry.path());
    std::string line;
    for (int number = 1; std::getline(in, line); ++number) {
      const auto path = quoted_include(line);
      if (!path) continue;
      ++n_includes;
      const std::string target = path->substr(0, path->find('/'));
      const auto complain = [&](std::string_view why) {
        found.push_back(fmt::format("{}:{}: \"{}\": {}", file.string(), number, *path, why));
      };
      if (!under.contains(target) || target == *path) {
        complain("includes of ours are written \"room/file.h\"");
      } else if (target != room && !under.at(room).contains(target)) {
        complain(fmt::format("{} is not under {}", target, room));
      } else if (!fs::exists(src / *path)) {
        complain("there is no such file");
      }
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

TEST(Includes, OfTheSourcesFollowTheOrderOfTheRooms) {
  const fs::path src = fs::path(NANOCHAT_SOURCE_DIR) / "src";
  ASSERT_TRUE(fs::is_directory(src)) << src;
  int n_includes = 0;
  for (const std::string& violation : violations(src, n_includes)) ADD_FAILURE() << violation;
  EXPECT_GT(n_includes, 20) << "the test looks in the wrong place";
}

TEST(Includes, OnlyTheRoomsUnderARoomAreAllowed) {
  const auto& under = rooms_under();
  EXPECT_TRUE(under.at("core").empty());
  EXPECT_TRUE(under.at("model").contains("autograd"));
  EXPECT_FALSE(under.at("model").contains("optim"));
  EXPECT_FALSE(under.at("tokenizer").contains("ops"));
  EXPECT_FALSE(under.at("serve").contains("report"));
  EXPECT_EQ(under.at("data"), (std::set<std::string>{"core", "tokenizer", "dist"}));
  EXPECT_EQ(under.at("cli").size(), under.size() - 1);
}

class WrongIncludes : public ::testing::Test {
 protected:
  WrongIncludes() {
    std::string pattern = (fs::temp_directory_path() / "nanochat-includes-XXXXXX").string();
    src_ = ::mkdtemp(pattern.data());
  }
  ~WrongIncludes() override { fs::remove_all(src_); }
  void write(const fs::path& file, std::string_view text) {
    fs::create_directories((src_ / file).parent_path());
    std::ofstream(src_ / file) << text;
  }
  [[nodiscard]] std::vector<std::string> found() const {
    int n_includes = 0;
    return violations(src_, n_includes);
  }
  using Lines = std::vector<std::string>;

  fs::path src_;
};

TEST_F(WrongIncludes, UpwardsAndSidewaysAreFoundWithFileAndLine) {
  write("core/tensor.h", "#pragma once\n#include <vector>\n#include \"ops/backend.h\"\n");
  write("ops/backend.h", "#include \"core/tensor.h\"\n");
  write("ops/cpu/x.cu", "  #  include \"model/gpt.h\"\n");
  write("model/gpt.h", "#include \"optim/muon.h\"\n// #include \"cli/info.h\"\n");
  write("optim/muon.h", "#include \"core/tensor.h\"\n");
  EXPECT_EQ(found(), (Lines{"core/tensor.h:3: \"ops/backend.h\": ops is not under core",
                            "model/gpt.h:1: \"optim/muon.h\": optim is not under model",
                            "ops/cpu/x.cu:1: \"model/gpt.h\": model is not under ops"}));
}

TEST_F(WrongIncludes, BareNamesMissingFilesAndUnknownRoomsAreFound) {
  write("core/a.cpp", "#include \"a.h\"\n#include \"core/gone.h\"\n#include \"../core/a.h\"\n");
  write("core/a.h", "");
  write("attic/b.h", "");
  EXPECT_EQ(found(),
            (Lines{"attic/b.h: there is no room 'attic'",
                   "core/a.cpp:1: \"a.h\": includes of ours are written \"room/file.h\"",
                   "core/a.cpp:2: \"core/gone.h\": there is no such file",
                   "core/a.cpp:3: \"../core/a.h\": includes of ours are written \"room/file.h\""}));
}

TEST_F(WrongIncludes, AnOrderlyHouseHasNone) {
  write("core/a.h", "#pragma once\n");
  write("ops/b.cpp", "#include \"ops/b.h\"\n\n#include <dnnl.hpp>\n\n#include \"core/a.h\"\n");
  write("ops/b.h", "#include \"core/a.h\"\n");
  EXPECT_EQ(found(), Lines{});
}

}  // namespace
}  // namespace nanochat
