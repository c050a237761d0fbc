// labels: peers
// The Python packages tiktoken and tokenizers, given our files, make the same ids; and we read what
// they write. $NANOCHAT_PEERS_PYTHON names the interpreter that has them; default python3.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/file.h"
#include "support/fixtures.h"
#include "support/temporary_folder.h"
#include "tokenizer/formats.h"
#include "tokenizer/small_vocabulary.h"
#include "tokenizer/tokenizer.h"

namespace nanochat {
namespace {

using nlohmann::json;
using test::small_vocabulary;

/// argv: a folder that holds tokenizer.json, tokenizer.tiktoken and task.json (pattern, specials,
/// texts). Prints the ids of every text by both packages, and those of every special token; leaves
/// what the packages write: resaved.json, and an Encoding pickled with protocols 2 to 5.
constexpr std::string_view kScript = R"py(
import base64, json, pickle, sys
import tiktoken, tokenizers
folder = sys.argv[1]
task = json.load(open(folder + "/task.json"))
ranks = {}
for line in open(folder + "/tokenizer.tiktoken"):
    token, rank = line.split()
    ranks[base64.b64decode(token)] = int(rank)
openai = tiktoken.Encoding(name="rustbpe", pat_str=task["pattern"], mergeable_ranks=ranks,
                           special_tokens=task["specials"])
for protocol in range(2, 6):
    with open(f"{folder}/protocol{protocol}.pkl", "wb") as f:
        pickle.dump(openai, f, protocol=protocol)
face = tokenizers.Tokenizer.from_file(folder + "/tokenizer.json")
face.save(folder + "/resaved.json")
special_ids = {name: face.token_to_id(name) for name in task["specials"]}
face.encode_special_tokens = True
encoded = [face.encode(text, add_special_tokens=False).ids for text in task["texts"]]
json.dump({
    "tiktoken": [openai.encode_ordinary(text) for text in task["texts"]],
    "tokenizers": encoded,
    "decoded": [face.decode(ids, skip_special_tokens=False) for ids in encoded],
    "special_ids": special_ids,
    "vocab_size": face.get_vocab_size(),
}, sys.stdout)
)py";

std::string python() {
  const char* const named = std::getenv("NANOCHAT_PEERS_PYTHON");
  return named ? named : "python3";
}

/// Texts on which tokenizers differ when something is wrong, of which `words` may be tokens.
std::vector<std::string> texts() {
  std::vector<std::string> texts = {"",
                                    "a",
                                    "the thing in the string is nothing",
                                    "  the\n\nthe \t in\r\n  ing   ",
                                    "I'm you'RE don't '\u017f 12345 3.14 ½²1a",
                                    "你好，ok 🌍 café e\u0301x \u00ad\u00a0\u3000",
                                    "abc xyz xyzz abcabc ab\n\\\"\x7f",
                                    "<|bos|><|user_start|>text<|user_end|>",
                                    std::string("\0\x01\x02", 3) + "\u00ff\u0100",
                                    std::string(500, 'a') + std::string(300, ' ') + "!"};
  const auto fixture = test::find_fixtures("tokenizer/train.txt");
  if (!fixture.empty()) texts.push_back(read_file(fixture[0], 1 << 20));
  return texts;
}

class FormatsPeerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string probe = python() + " -c 'import tiktoken, tokenizers' 2>/dev/null";
    if (std::system(probe.c_str()) != 0) {
      GTEST_SKIP() << python() << " has no packages tiktoken and tokenizers: install them, or name "
                   << "another interpreter in NANOCHAT_PEERS_PYTHON";
    }
  }

  [[nodiscard]] json run_peers(const Vocabulary& vocabulary) const {
    save_vocabulary(vocabulary, folder_.path(), TokenizerFormat::kHuggingFace);
    save_vocabulary(vocabulary, folder_.path(), TokenizerFormat::kTiktoken);
    const json task = {
        {"pattern", vocabulary.pattern}, {"specials", vocabulary.specials}, {"texts", texts()}};
    folder_.write("task.json", task.dump());
    folder_.write("script.py", kScript);
    const std::string command =
        fmt::format("{} {} {} 2>{}", python(), (folder_ / "script.py").string(),
                    folder_.path().string(), (folder_ / "log").string());
    std::FILE* const pipe = popen(command.c_str(), "r");
    NC_CHECK(pipe != nullptr);
    std::string output;
    std::array<char, 4096> block{};
    while (const size_t n = std::fread(block.data(), 1, block.size(), pipe)) {
      output.append(block.data(), n);
    }
    EXPECT_EQ(pclose(pipe), 0) << read_file(folder_ / "log", 1 << 20);
    return json::parse(output);
  }

  /// Everything that the two packages can say about a vocabulary of ours.
  void expect_agreement(const Vocabulary& vocabulary) const {
    const json peers = run_peers(vocabulary);
    const Tokenizer tokenizer(vocabulary);
    const std::vector<std::string> all = texts();
    for (size_t i = 0; i < all.size(); ++i) {
      SCOPED_TRACE(all[i].substr(0, 60));
      const std::vector<int32_t> ids = tokenizer.encode(all[i]);
      EXPECT_TRUE(peers["tiktoken"][i] == json(ids)) << "tiktoken: " << peers["tiktoken"][i].size();
      EXPECT_TRUE(peers["tokenizers"][i] == json(ids))
          << "tokenizers: " << peers["tokenizers"][i].size() << ", ours " << ids.size();
      EXPECT_TRUE(peers["decoded"][i] == all[i]);
    }
    EXPECT_EQ(peers["special_ids"], json(vocabulary.specials));

    EXPECT_EQ(load_vocabulary(folder_ / "resaved.json"), vocabulary);
    for (int protocol = 2; protocol <= 5; ++protocol) {
      EXPECT_EQ(load_vocabulary(folder_ / fmt::format("protocol{}.pkl", protocol)), vocabulary);
    }
  }

  test::TemporaryFolder folder_;
};

TEST_F(FormatsPeerTest, AgreesOnATrainedVocabulary) { expect_agreement(small_vocabulary()); }

TEST_F(FormatsPeerTest, AgreesOnTheGpt4Pattern) {
  Vocabulary v = small_vocabulary();
  v.pattern = kGpt4Pattern;
  expect_agreement(v);
}

TEST_F(FormatsPeerTest, AgreesOnTokensThatNoMergeMakes) {
  expect_agreement(small_vocabulary({"abc", "xyz", "xy", " thing", "aaa", "aa", "aaaaa"}));
}

TEST_F(FormatsPeerTest, AgreesOnBytesInAnotherOrderAndGapsBeforeTheSpecialTokens) {
  Vocabulary v = small_vocabulary();
  std::reverse(v.tokens.begin(), v.tokens.begin() + 256);
  v.specials = {{"<|endoftext|>", 270}, {"<|bos|>", 263}, {"<|user_start|>", 300}};
  expect_agreement(v);
}

TEST_F(FormatsPeerTest, AgreesOnTheVocabularyOfTheFixtures) {
  const auto found = test::find_fixtures("tokenizer/nanochat_2048.json");
  if (found.empty()) GTEST_SKIP() << test::missing_fixture("tokenizer/nanochat_2048.json");
  Vocabulary v = small_vocabulary({});
  for (const json& merge : test::load_json(found[0])["merges"]) {
    v.tokens.push_back(v.tokens[merge[0].get<size_t>()] + v.tokens[merge[1].get<size_t>()]);
  }
  expect_agreement(Vocabulary::from_tokens(std::move(v.tokens)));
}

}  // namespace
}  // namespace nanochat
