#include "data/unzip.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/refusal.h"
#include "support/temporary_folder.h"
#include "support/zip_file.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;

class UnzipTest : public ::testing::Test {
 protected:
  static std::string bytes_of(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  /// Names in the test's folder.
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      names.push_back(entry.path().filename().string());
    }
    std::ranges::sort(names);
    return names;
  }
  const test::TemporaryFolder folder_;
  const fs::path zip_ = folder_ / "bundle.zip", out_ = folder_ / "bundle";
};

TEST_F(UnzipTest, TheFolderOfThatNameIsTakenAlone) {
  const std::string large(300'000, 'x');
  test::write_zip(zip_, {{"bundle/", ""},
                         {"bundle/core.yaml", "tasks"},
                         {"bundle/data/a.jsonl", large},
                         {"bundle/data/empty", ""},
                         {"__other/bundle", "no"}});
  unzip(zip_, out_);
  EXPECT_EQ(bytes_of(out_ / "core.yaml"), "tasks");
  EXPECT_EQ(bytes_of(out_ / "data/a.jsonl"), large);
  EXPECT_TRUE(fs::exists(out_ / "data/empty"));
  EXPECT_EQ(names(), (std::vector<std::string>{"bundle", "bundle.zip"}));
}

TEST_F(UnzipTest, WithoutSuchAFolderAllIsTaken) {
  test::write_zip(zip_, {{"core.yaml", "tasks"}, {"data/a.jsonl", "{}"}});
  unzip(zip_, out_);
  EXPECT_EQ(bytes_of(out_ / "core.yaml"), "tasks");
  EXPECT_EQ(bytes_of(out_ / "data/a.jsonl"), "{}");
}

TEST_F(UnzipTest, NamesThatPointOutOfTheFolderAreRefused) {
  for (const char* name : {"../outside", "data/../../outside", "/tmp/outside"}) {
    test::write_zip(zip_, {{"inside", "1"}, {name, "2"}});
    const std::string message = test::refusal<DataError>([&] { unzip(zip_, out_); });
    EXPECT_SAYS(message, "points out of the folder");
    EXPECT_EQ(names(), std::vector<std::string>{"bundle.zip"}) << name;
  }
}

TEST_F(UnzipTest, WhatIsDamagedOrNoZipLeavesNothingBehind) {
  test::write_zip(zip_, {{"bundle/a", std::string(1000, 'a') + "and so on"}});
  const std::string bytes = bytes_of(zip_);
  for (const size_t at : {38U, 40U, 45U, 50U}) {  // in the compressed data
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    folder_.write("bundle.zip", damaged);
    const std::string message = test::refusal<DataError>([&] { unzip(zip_, out_); });
    EXPECT_SAYS(message, "'bundle/a' in it is damaged");
  }
  folder_.write("bundle.zip", "PK\x03\x04 and no more");
  EXPECT_SAYS(test::refusal<DataError>([&] { unzip(zip_, out_); }), "no zip file");
  EXPECT_EQ(names(), std::vector<std::string>{"bundle.zip"});
  EXPECT_THROW(unzip(folder_ / "none.zip", out_), NotFoundError);
}

}  // namespace
}  // namespace nanochat
