#include "data/converter.h"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>

#include "core/error.h"
#include "data/shard_series.h"
#include "support/temporary_folder.h"
#ifdef NANOCHAT_ARROW
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#endif

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using Texts = std::vector<std::string>;

/// The numbers of documents of the shards that so many documents of so many characters make.
std::vector<int64_t> cuts(int64_t documents, int64_t characters_each, int64_t shard_chars,
                          int64_t row_group) {
  ConvertOptions options;
  options.shard_chars = shard_chars;
  options.row_group = row_group;
  ShardCuts shard_cuts(documents, documents * characters_each, options);
  std::vector<int64_t> sizes{0};
  for (int64_t i = 0; i < documents; ++i) {
    ++sizes.back();
    if (shard_cuts.ends_after(characters_each)) sizes.push_back(0);
  }
  EXPECT_EQ(sizes.back(), 0) << "the last document ends a shard";
  sizes.pop_back();
  return sizes;
}

TEST(ShardCutsTest, AShardEndsWhenItIsLongEnoughAndItsRowGroupsAreFull) {
  using Sizes = std::vector<int64_t>;
  // 1000 characters are reached after 100 documents, the row group is full at 104.
  EXPECT_EQ(cuts(416, 10, 1000, 8), (Sizes{104, 104, 104, 104}));
  EXPECT_EQ(cuts(370, 10, 1000, 8), (Sizes{104, 104, 104, 58})) << "the rest is a smaller shard";
  EXPECT_EQ(cuts(321, 10, 1000, 8), (Sizes{104, 104, 113})) << "too small a rest is added";
}

TEST(ShardCutsTest, ThereIsAlwaysASecondShardForValidation) {
  using Sizes = std::vector<int64_t>;
  EXPECT_EQ(cuts(100, 10, 1000, 8), (Sizes{88, 12})) << "at a full row group";
  EXPECT_EQ(cuts(108, 10, 1000, 8), (Sizes{96, 12}));
  EXPECT_EQ(cuts(10, 10, 1000, 1024), (Sizes{9, 1}));
  EXPECT_EQ(cuts(2, 10, 1000, 1024), (Sizes{1, 1}));
  EXPECT_EQ(cuts(1, 10, 1000, 1024), (Sizes{1})) << "but not of one document";
  EXPECT_EQ(cuts(100, 1'000'000, 1000, 1024), (Sizes{90, 10})) << "few but long documents";
}

#ifdef NANOCHAT_ARROW

Texts sample_texts(int n) {
  Texts texts;
  for (int i = 0; i < n; ++i) {
    texts.push_back(fmt::format("document {} \u4f60\u597d {}", i,
                                std::string(static_cast<size_t>(i * 37 % 200), 'x')));
  }
  return texts;
}

std::string json_lines(const Texts& texts) {
  std::string lines;
  for (const std::string& text : texts) lines += nlohmann::json{{"text", text}}.dump() + "\n";
  return lines;
}

Texts read_all(const fs::path& path) {
  const Texts paths{path.string()};
  DocumentSource source{std::span<const std::string>(paths)};
  Texts texts;
  for (DocumentBatch batch; source.next(batch);) {
    texts.insert(texts.end(), batch.documents.begin(), batch.documents.end());
  }
  return texts;
}

class ConverterTest : public ::testing::Test {
 protected:
  ConverterTest() { options_.out = folder_ / "out"; }

  ConvertReport convert(const Texts& paths) {
    return convert_documents(paths, source_, options_, progress_);
  }
  [[nodiscard]] Texts names(const fs::path& folder) const {
    Texts names;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      names.push_back(entry.path().filename());
    }
    std::ranges::sort(names);
    return names;
  }

  test::TemporaryFolder folder_;
  DocumentSourceOptions source_;
  ConvertOptions options_;
  std::function<void(ConvertPhase, int64_t, int64_t)> progress_ = [](auto, auto, auto) {};
};

TEST_F(ConverterTest, EveryDocumentComesBackOnceAndShuffled) {
  const Texts texts = sample_texts(5000);
  const Texts paths{folder_.write("in.jsonl", json_lines(texts))};
  options_.shard_chars = 200'000;
  options_.row_group = 64;
  const ConvertReport report = convert(paths);
  EXPECT_EQ(report.documents, 5000);
  EXPECT_GT(report.shards.size(), 2U);
  EXPECT_EQ(names(options_.out).front(), "shard_00000.parquet");
  EXPECT_EQ(names(options_.out).size(), report.shards.size()) << "nothing else is left";
  Texts out = read_all(options_.out);
  EXPECT_NE(out, texts);
  Texts expected = texts;
  std::ranges::sort(out);
  std::ranges::sort(expected);
  EXPECT_TRUE(out == expected);
  int64_t documents = 0;
  for (const ConvertedShard& shard : report.shards) {
    documents += shard.documents;
    EXPECT_EQ(shard.bytes, static_cast<int64_t>(fs::file_size(shard.path)));
    EXPECT_EQ(read_all(shard.path).size(), static_cast<size_t>(shard.documents));
    if (&shard == &report.shards.back()) break;
    EXPECT_GE(shard.characters, options_.shard_chars);
    EXPECT_EQ(shard.documents % options_.row_group, 0);
    const auto reader = parquet::ParquetFileReader::OpenFile(shard.path.string());
    for (int i = 0; i < reader->metadata()->num_row_groups(); ++i) {
      EXPECT_EQ(reader->metadata()->RowGroup(i)->num_rows(), options_.row_group);
    }
  }
  EXPECT_EQ(documents, 5000);
}

TEST_F(ConverterTest, TheSameSeedGivesTheSameFilesWhateverTheMemory) {
  const Texts paths{folder_.write("in.jsonl", json_lines(sample_texts(2000)))};
  std::map<std::string, Texts> results;
  for (const auto& [name, memory_bytes, seed] :
       {std::tuple{"plenty", int64_t{1} << 30, 42}, std::tuple{"little", int64_t{5000}, 42},
        std::tuple{"other", int64_t{1} << 30, 43}}) {
    options_.out = folder_ / name;
    options_.memory_bytes = memory_bytes;
    options_.seed = static_cast<uint64_t>(seed);
    static_cast<void>(convert(paths));
    results[name] = read_all(options_.out);
  }
  EXPECT_TRUE(results["plenty"] == results["little"]);
  EXPECT_FALSE(results["plenty"] == results["other"]);
}

TEST_F(ConverterTest, WithoutShufflingTheOrderStays) {
  const Texts texts = sample_texts(3000);
  const Texts paths{folder_.write("in.jsonl", json_lines(texts))};
  options_.shuffle = false;
  options_.shard_chars = 100'000;
  EXPECT_GT(convert(paths).shards.size(), 2U);
  EXPECT_TRUE(read_all(options_.out) == texts);
}

TEST_F(ConverterTest, ParquetAndTextGoInToo) {
  folder_.write("a/1.txt", "one\n\ntwo\n\nthree");
  folder_.write("a/2.jsonl", json_lines({"four"}));
  source_.txt_separator = "\n\n";
  static_cast<void>(convert({(folder_ / "a").string()}));
  options_.out = folder_ / "again";
  const ConvertReport report = convert({(folder_ / "out").string()});
  EXPECT_EQ(report.documents, 4);
  Texts out = read_all(options_.out);
  std::ranges::sort(out);
  EXPECT_EQ(out, (Texts{"four", "one", "three", "two"}));
}

TEST_F(ConverterTest, CharactersAreCountedAndNotBytes) {
  const Texts paths{folder_.write("in.jsonl", json_lines({"\u4f60\u597d", "abc"}))};
  EXPECT_EQ(convert(paths).characters, 5);
}

TEST_F(ConverterTest, WhatIsNotUtf8IsRepairedAndCounted) {
  source_.txt_separator = "\n";
  const Texts paths{folder_.write("in.txt",
                                  "good\nb\xff\x61"
                                  "d\n")};
  options_.shuffle = false;
  EXPECT_EQ(convert(paths).repaired_documents, 1);
  EXPECT_EQ(read_all(options_.out), (Texts{"good", "b\uFFFDad"}));
}

TEST_F(ConverterTest, ABadFileIsNamedAndNothingIsWritten) {
  const Texts paths{folder_.write("a.jsonl", json_lines(sample_texts(10))),
                    folder_.write("b.jsonl", "{\"text\": \"x\"}\n{broken\n")};
  try {
    static_cast<void>(convert(paths));
    FAIL() << "no error";
  } catch (const DataError& e) {
    EXPECT_NE(std::string(e.what()).find("b.jsonl:2"), std::string::npos) << e.what();
  }
  EXPECT_TRUE(names(options_.out).empty());
  for (const bool shuffle : {true, false}) {
    options_.out = folder_ / (shuffle ? "shuffled" : "in order");
    options_.shuffle = shuffle;
    source_.skip_bad_shards = true;
    const ConvertReport report = convert(paths);
    EXPECT_EQ(report.skipped.size(), 1U);
    EXPECT_EQ(report.documents, 11);
  }
}

TEST_F(ConverterTest, StoppedInTheMiddleNothingIsLeft) {
  const Texts paths{folder_.write("in.jsonl", json_lines(sample_texts(3000)))};
  options_.shard_chars = 50'000;
  for (const ConvertPhase when : {ConvertPhase::kReading, ConvertPhase::kWriting}) {
    progress_ = [&](ConvertPhase phase, int64_t done, int64_t) {
      if (phase == when && done == 2500) throw std::runtime_error("stop");
    };
    EXPECT_THROW(static_cast<void>(convert(paths)), std::runtime_error);
    EXPECT_TRUE(names(options_.out).empty());
  }
}

TEST_F(ConverterTest, AFullDiskLeavesNothing) {
  const Texts paths{folder_.write("in.jsonl", json_lines(sample_texts(3000)))};
  struct rlimit old {};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1000, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  EXPECT_THROW(static_cast<void>(convert(paths)), IoError);
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_TRUE(names(options_.out).empty());
}

TEST_F(ConverterTest, LeftoversOfAKilledProcessAreClearedAway) {
  folder_.write("out/.convert.part/shard_00007.parquet", "half");
  const Texts paths{folder_.write("in.jsonl", json_lines(sample_texts(10)))};
  EXPECT_EQ(convert(paths).shards.size(), 2U);
  EXPECT_EQ(names(options_.out), (Texts{"shard_00000.parquet", "shard_00001.parquet"}));
}

TEST_F(ConverterTest, AFolderThatHoldsDocumentsIsRefused) {
  const Texts paths{folder_.write("in.jsonl", json_lines(sample_texts(10)))};
  static_cast<void>(convert(paths));
  EXPECT_THROW(static_cast<void>(convert(paths)), UsageError);
  EXPECT_EQ(names(options_.out).size(), 2U) << "what was there stays";
}

TEST_F(ConverterTest, NoDocumentsAreAnError) {
  const Texts paths{folder_.write("in.jsonl", "\n\n")};
  EXPECT_THROW(static_cast<void>(convert(paths)), DataError);
}

#endif

}  // namespace
}  // namespace nanochat
