// labels: parity
// The merges that upstream's trainer learned, with their counts.
#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "support/fixtures.h"
#include "tokenizer/bpe_trainer.h"
#include "tokenizer/vocabulary.h"

namespace nanochat {
namespace {

using nlohmann::json;

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

/// The first n code points.
std::string_view crop(std::string_view text, int64_t n) {
  size_t i = 0;
  for (; i < text.size(); ++i) {
    const bool starts = (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80;
    if (starts && n-- == 0) break;
  }
  return text.substr(0, i);
}

int64_t code_points(std::string_view text) {
  int64_t n = 0;
  for (const char c : text) n += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return n;
}

/// The documents as the fixture's "training_documents" describes them.
std::vector<std::string_view> training_documents(const json& fixture, std::string_view text) {
  if (!fixture.contains("doc_cap")) return {text};
  std::vector<std::string_view> documents;
  const auto max_chars = fixture.at("max_chars").get<int64_t>();
  int64_t total = 0;
  for (size_t begin = 0; total <= max_chars;) {
    const size_t end = text.find("\n\n", begin);
    documents.push_back(
        crop(text.substr(begin, end - begin), fixture.at("doc_cap").get<int64_t>()));
    total += code_points(documents.back());
    if (end == std::string_view::npos) break;
    begin = end + 2;
  }
  EXPECT_EQ(std::ssize(documents), fixture.at("num_documents_used").get<int64_t>());
  EXPECT_EQ(total, fixture.at("total_code_points_used").get<int64_t>());
  return documents;
}

class BpeTrainerParityTest : public testing::TestWithParam<const char*> {};

TEST_P(BpeTrainerParityTest, MergesAreUpstreams) {
  const std::string name = std::string("tokenizer/") + GetParam();
  const auto paths = test::find_fixtures(name);
  const auto texts = test::find_fixtures("tokenizer/train.txt");
  if (paths.empty()) GTEST_SKIP() << test::missing_fixture(name);
  if (texts.empty()) GTEST_SKIP() << test::missing_fixture("tokenizer/train.txt");
  const json fixture = test::load_json(paths.front());
  std::ifstream file(texts.front(), std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  ASSERT_FALSE(text.empty());

  const Splitter splitter(fixture.at("pattern").get<std::string>());
  EXPECT_TRUE(splitter.is_scanner());
  ChunkCounter counter(splitter);
  counter.add(training_documents(fixture, text));
  EXPECT_EQ(counter.n_chunks(), fixture.at("num_chunks").get<int64_t>());
  EXPECT_EQ(counter.n_distinct(), fixture.at("num_unique_chunks").get<int64_t>());

  const auto expected = fixture.at("merges");
  ASSERT_EQ(std::ssize(expected), fixture.at("vocab_size").get<int64_t>() - 9 - 256);
  const auto merges = train_bpe(std::move(counter), std::ssize(expected));
  ASSERT_EQ(merges.size(), expected.size());
  const auto tokens = token_strings(merges);
  for (size_t i = 0; i < merges.size(); ++i) {
    const json& e = expected[i];  // left_id, right_id, left_hex, right_hex, count, tie
    const Merge merge{e.at(0).get<int32_t>(), e.at(1).get<int32_t>(), e.at(4).get<int64_t>()};
    ASSERT_TRUE(merges[i] == merge) << "merge " << i << ": " << merges[i].left << " "
                                    << merges[i].right << " x" << merges[i].count << " not " << e;
    ASSERT_EQ(tokens[256 + i],
              from_hex(e.at(2).get<std::string>()) + from_hex(e.at(3).get<std::string>()));
  }

  if (fixture.contains("special_tokens")) {
    const Vocabulary vocabulary = Vocabulary::from_tokens(tokens, splitter.pattern());
    EXPECT_EQ(vocabulary.size(), fixture.at("vocab_size").get<int32_t>());
    EXPECT_EQ(json(vocabulary.specials), fixture.at("special_tokens"));
  }
}

INSTANTIATE_TEST_SUITE_P(Fixtures, BpeTrainerParityTest,
                         testing::Values("nanochat_512.json", "nanochat_2048.json",
                                         "gpt4pattern_512.json", "nanochat_400_docs.json"));

}  // namespace
}  // namespace nanochat
