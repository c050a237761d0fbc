// labels: parity
// The chunks of upstream's own splitter, for the fixture strings and a whole file.
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "core/file.h"
#include "support/fixtures.h"
#include "support/sha256.h"
#include "tokenizer/pcre2_splitter.h"
#include "tokenizer/splitter.h"

namespace nanochat {
namespace {

using nlohmann::json;
using test::find_fixtures;

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

std::vector<size_t> lengths_of(const std::vector<size_t>& ends) {
  std::vector<size_t> lengths;
  size_t begin = 0;
  for (const size_t end : ends) {
    lengths.push_back(end - begin);
    begin = end;
  }
  return lengths;
}

/// The fixture's hash: of each chunk its length as four bytes, lowest first, then itself.
std::string hash_of_chunks(std::string_view text, const std::vector<size_t>& ends) {
  std::string all;
  size_t begin = 0;
  for (const size_t end : ends) {
    for (int shift = 0; shift < 32; shift += 8) all += static_cast<char>((end - begin) >> shift);
    all += text.substr(begin, end - begin);
    begin = end;
  }
  return test::sha256(all);
}

TEST(SplitterParityTest, Sha256IsTheStandardsOwn) {
  EXPECT_EQ(test::sha256("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(test::sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(SplitterParityTest, CutsEveryFixtureStringAsUpstream) {
  const auto files = find_fixtures("tokenizer/strings*.json");
  if (files.empty()) GTEST_SKIP() << test::missing_fixture("tokenizer/strings*.json");
  for (const auto& path : files) {
    const json fixture = test::load_json(path);
    for (const bool three : {false, true}) {
      const std::string pattern = fixture.at(three ? "pattern_n3" : "pattern_n2");
      const Splitter scanner(pattern);
      ASSERT_TRUE(scanner.is_scanner()) << pattern;
      const Pcre2Splitter pcre2(pattern);
      for (const json& s : fixture.at("strings")) {
        SCOPED_TRACE(s.at("name").get<std::string>() + (three ? " {1,3}" : " {1,2}"));
        const std::string text = from_hex(s.at("utf8_hex"));
        const json& expected3 = s.at("chunk_byte_lengths_n3");
        const auto expected =
            (three && expected3 != "same" ? expected3 : s.at("chunk_byte_lengths_n2"))
                .get<std::vector<size_t>>();
        std::vector<size_t> ends;
        scanner.split(text, ends);
        EXPECT_EQ(lengths_of(ends), expected);
        pcre2.split(text, ends);
        EXPECT_EQ(lengths_of(ends), expected) << "PCRE2";
      }
    }
  }
}

TEST(SplitterParityTest, CutsTheWholeTrainingFileAsUpstream) {
  const auto files = find_fixtures("tokenizer/corpus.json");
  if (files.empty()) GTEST_SKIP() << test::missing_fixture("tokenizer/corpus.json");
  const json chunks = test::load_json(files.front()).at("chunks");
  const std::string text =
      read_file(test::fixtures_dir() / "tokenizer/train.txt", int64_t{1} << 30);
  for (const auto& [pattern, key] :
       std::array{std::pair{kNanochatPattern, "n2"}, std::pair{kGpt4Pattern, "n3"}}) {
    std::vector<size_t> ends;
    Splitter(pattern).split(text, ends);
    EXPECT_EQ(ends.size(), chunks.at(key).at("num").get<size_t>()) << key;
    EXPECT_EQ(hash_of_chunks(text, ends), chunks.at(key).at("sha256").get<std::string>()) << key;
  }
}

}  // namespace
}  // namespace nanochat
