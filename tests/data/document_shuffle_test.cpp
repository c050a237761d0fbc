#include "data/document_shuffle.h"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "core/error.h"
#include "support/temporary_folder.h"

namespace nanochat {
namespace {

using Texts = std::vector<std::string>;

constexpr int64_t kPlenty = int64_t{1} << 30;

Texts sample_texts(int n) {
  Texts texts;
  for (int i = 0; i < n; ++i) {
    texts.push_back(fmt::format("{} {}", i, std::string(static_cast<size_t>(i * 37 % 500), 'x')));
  }
  return texts;
}

Texts shuffled(const test::TemporaryFolder& folder, const Texts& texts, int64_t memory_bytes,
               uint64_t seed = 42) {
  DocumentShuffle shuffle(folder.path(), memory_bytes, seed);
  for (const std::string& text : texts) shuffle.add(text);
  Texts out;
  shuffle.drain([&](std::string_view document) { out.emplace_back(document); });
  return out;
}

TEST(DocumentShuffleTest, TheOrderIsTheSameWhateverTheMemory) {
  const test::TemporaryFolder folder;
  const Texts texts = sample_texts(5000);  // 1.3 MB
  const Texts in_memory = shuffled(folder, texts, kPlenty);
  EXPECT_EQ(std::multiset<std::string>(in_memory.begin(), in_memory.end()),
            std::multiset<std::string>(texts.begin(), texts.end()));
  EXPECT_NE(in_memory, texts);
  // With one file for each 7 bits; then with files that have to be split again.
  for (const int64_t memory_bytes : {int64_t{200'000}, int64_t{3'000}, int64_t{1}}) {
    EXPECT_TRUE(shuffled(folder, texts, memory_bytes) == in_memory) << memory_bytes;
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path())) << "temporary files have no names";
}

TEST(DocumentShuffleTest, TheSeedDecides) {
  const test::TemporaryFolder folder;
  const Texts texts = sample_texts(100);
  EXPECT_EQ(shuffled(folder, texts, kPlenty, 1), shuffled(folder, texts, kPlenty, 1));
  EXPECT_NE(shuffled(folder, texts, kPlenty, 1), shuffled(folder, texts, kPlenty, 2));
}

TEST(DocumentShuffleTest, EveryPlaceIsAboutAsLikely) {
  const test::TemporaryFolder folder;
  const Texts texts = sample_texts(8);
  int counts[8][8] = {};  // of document i at place j
  constexpr int kRounds = 4000;
  for (int round = 0; round < kRounds; ++round) {
    const Texts out = shuffled(folder, texts, kPlenty, static_cast<uint64_t>(round));
    for (int j = 0; j < 8; ++j) ++counts[std::stoi(out[static_cast<size_t>(j)])][j];
  }
  double chi_squared = 0;  // 49 degrees of freedom
  for (const auto& row : counts) {
    for (const int count : row) {
      const double expected = kRounds / 8.0;
      chi_squared += (count - expected) * (count - expected) / expected;
    }
  }
  EXPECT_LT(chi_squared, 85.4) << "once in a thousand by chance";
}

TEST(DocumentShuffleTest, LongAndEmptyDocumentsPass) {
  const test::TemporaryFolder folder;
  const Texts texts{"", std::string(3'000'000, 'a'), "", std::string(100'000, 'b'), "c"};
  for (const int64_t memory_bytes : {kPlenty, int64_t{1000}}) {
    Texts out = shuffled(folder, texts, memory_bytes);
    Texts expected = texts;
    std::ranges::sort(out);
    std::ranges::sort(expected);
    EXPECT_TRUE(out == expected);
  }
}

TEST(DocumentShuffleTest, NothingInIsNothingOut) {
  const test::TemporaryFolder folder;
  EXPECT_TRUE(shuffled(folder, {}, kPlenty).empty());
}

TEST(DocumentShuffleTest, AFullDiskIsNamed) {
  const test::TemporaryFolder folder;
  struct rlimit old {};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{10'000, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  std::string says;
  try {
    static_cast<void>(shuffled(folder, Texts(200, std::string(70'000, 'x')), 1000));
  } catch (const IoError& e) {
    says = e.what();
  }
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_NE(says.find("cannot write temporary files"), std::string::npos) << says;
}

}  // namespace
}  // namespace nanochat
