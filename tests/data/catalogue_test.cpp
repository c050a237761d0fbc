#include "data/catalogue.h"

#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/error.h"

namespace nanochat {
namespace {

using Indices = std::vector<int64_t>;

std::string no_list(const std::string& url) {
  ADD_FAILURE() << "asked for a list at " << url;
  return "";
}

TEST(CatalogueTest, NamesAreDistinctAndAddressesAreSecure) {
  std::set<std::string_view> names;
  for (const Dataset& dataset : catalogue()) {
    EXPECT_TRUE(names.insert(dataset.name).second) << dataset.name;
    EXPECT_TRUE(dataset.base_url.starts_with("https://")) << dataset.name;
    EXPECT_FALSE(dataset.licence.empty()) << dataset.name;
    EXPECT_EQ(dataset.kind == DatasetKind::kShards, dataset.files.empty()) << dataset.name;
    EXPECT_EQ(dataset.kind == DatasetKind::kShards, dataset.n_shards > 0) << dataset.name;
  }
}

TEST(CatalogueTest, AnUnknownNameSaysWhatThereIs) {
  try {
    static_cast<void>(find_dataset("fineweb"));
    FAIL() << "no error";
  } catch (const NotFoundError& e) {
    EXPECT_NE(std::string(e.what()).find("fineweb-edu-100b, climbmix-400b"), std::string::npos);
  }
}

TEST(CatalogueTest, ShardsAreThoseOfUpstream) {
  const Dataset& fineweb = find_dataset("fineweb-edu-100b");
  EXPECT_EQ(shard_indices(fineweb, 3), (Indices{0, 1, 2}));
  EXPECT_EQ(shard_indices(fineweb, -1).size(), 1823U);
  EXPECT_EQ(shard_indices(fineweb, -1).back(), 1822);
  EXPECT_THROW(static_cast<void>(shard_indices(fineweb, 1824)), UsageError);
  EXPECT_THROW(static_cast<void>(shard_indices(fineweb, 0)), UsageError);

  const Dataset& climbmix = find_dataset("climbmix-400b");
  EXPECT_EQ(shard_indices(climbmix, 2), (Indices{0, 1, 6542})) << "the last is always there";
  EXPECT_EQ(shard_indices(climbmix, -1).size(), 6543U);
  EXPECT_EQ(shard_indices(climbmix, 6542).size(), 6543U);
  EXPECT_THROW(static_cast<void>(shard_indices(climbmix, 6543)), UsageError);
}

TEST(CatalogueTest, ShardsHaveUpstreamsNamesAndAddresses) {
  const Dataset& climbmix = find_dataset("climbmix-400b");
  const auto files = dataset_downloads(climbmix, dataset_url(climbmix, "", ""), "/d", 1, no_list);
  ASSERT_EQ(files.size(), 2U);
  EXPECT_EQ(files[0].url,
            "https://huggingface.co/datasets/karpathy/climbmix-400b-shuffle/resolve/main/"
            "shard_00000.parquet");
  EXPECT_EQ(files[0].path, "/d/shard_00000.parquet");
  EXPECT_EQ(files[1].path, "/d/shard_06542.parquet");
}

TEST(CatalogueTest, AMirrorTakesThePlaceOfTheHubOrOfTheWholeAddress) {
  const Dataset& arc = find_dataset("arc");
  EXPECT_EQ(dataset_url(arc, "", "https://hf-mirror.com/"),
            "https://hf-mirror.com/api/datasets/allenai/ai2_arc/parquet");
  EXPECT_EQ(dataset_url(arc, "http://localhost:1/x//", "https://hf-mirror.com"),
            "http://localhost:1/x");
  const Dataset& words = find_dataset("words");
  EXPECT_EQ(dataset_url(words, "", "https://hf-mirror.com"), words.base_url);
}

TEST(CatalogueTest, SplitsAreWhatTheHubLists) {
  const Dataset& gsm8k = find_dataset("gsm8k");
  std::vector<std::string> asked;
  const auto list = [&](const std::string& url) -> std::string {
    asked.push_back(url);
    return R"(["https://huggingface.co/x/main/train/0.parquet","https://h/1.parquet"])";
  };
  const auto files = dataset_downloads(gsm8k, "http://m", "/d", 0, list);
  EXPECT_EQ(asked, (std::vector<std::string>{"http://m/main/train", "http://m/main/test"}));
  ASSERT_EQ(files.size(), 4U);
  EXPECT_EQ(files[1].url, "http://m/main/train/1.parquet");
  EXPECT_EQ(files[1].path, "/d/main/train/00001.parquet");
}

TEST(CatalogueTest, AListThatMakesNoSenseIsRefused) {
  const Dataset& gsm8k = find_dataset("gsm8k");
  for (const char* text : {"", "<html>", "{}", "[]", "[1]", R"(["../../etc/passwd"])",
                           R"(["x/-1.parquet"])", R"(["x/0.parquet.exe"])", R"(["x/a.parquet"])"}) {
    EXPECT_THROW(static_cast<void>(dataset_downloads(gsm8k, "http://m", "/d", 0,
                                                     [&](const std::string&) { return text; })),
                 DataError)
        << text;
  }
}

}  // namespace
}  // namespace nanochat
