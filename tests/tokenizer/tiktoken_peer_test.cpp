// labels: peers data
// On every document of the data folder, the Python packages tiktoken and tokenizers make our ids,
// given a vocabulary that we have trained on these documents. $NANOCHAT_PEERS_PYTHON names the
// interpreter that has them; default python3.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/file.h"
#include "support/fixtures.h"
#include "support/sha256.h"
#include "support/temporary_folder.h"
#include "tokenizer/bpe_trainer.h"
#include "tokenizer/fixture_vocabulary.h"
#include "tokenizer/formats.h"
#include "tokenizer/tokenizer.h"

namespace nanochat {
namespace {

using nlohmann::json;

/// argv: a folder with tokenizer.json, tokenizer.tiktoken and pattern; then files of documents.
/// Prints for each document the hashes of its ids by both packages.
constexpr std::string_view kScript = R"py(
import array, base64, hashlib, json, sys
import tiktoken, tokenizers
folder = sys.argv[1]
ranks = {}
for line in open(folder + "/tokenizer.tiktoken"):
    token, rank = line.split()
    ranks[base64.b64decode(token)] = int(rank)
pattern = open(folder + "/pattern", encoding="utf-8").read()
openai = tiktoken.Encoding(name="ours", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
face = tokenizers.Tokenizer.from_file(folder + "/tokenizer.json")
face.encode_special_tokens = True
def digest(ids):
    return hashlib.sha256(array.array("I", ids).tobytes()).hexdigest()
for name in sys.argv[2:]:
    for line in open(name, encoding="utf-8", newline="\n"):
        text = json.loads(line)["text"]
        print(digest(openai.encode_ordinary(text)),
              digest(face.encode(text, add_special_tokens=False).ids))
)py";

std::string python() {
  const char* const named = std::getenv("NANOCHAT_PEERS_PYTHON");
  return named ? named : "python3";
}

std::vector<std::string> documents_of(const std::vector<std::string>& files) {
  std::vector<std::string> documents;
  for (const std::string& name : files) {
    std::ifstream file(name);
    for (std::string line; std::getline(file, line);) {
      documents.push_back(json::parse(line)["text"].get<std::string>());
    }
  }
  return documents;
}

TEST(TiktokenPeerTest, MakesTheSameIdsOfEveryDocument) {
  const std::string probe = python() + " -c 'import tiktoken, tokenizers' 2>/dev/null";
  if (std::system(probe.c_str()) != 0) {
    GTEST_SKIP() << python() << " has no packages tiktoken and tokenizers: install them, or name "
                 << "another interpreter in NANOCHAT_PEERS_PYTHON";
  }
  std::vector<std::string> files;
  for (const char* name :
       {"gutenberg.jsonl", "chinese.jsonl", "wikitext2/test.jsonl", "wikitext2/valid.jsonl"}) {
    const auto path = test::data_dir() / "pretrain" / name;
    if (std::filesystem::exists(path)) files.push_back(path.string());
  }
  if (files.empty()) GTEST_SKIP() << test::missing_data("pretrain/*.jsonl");

  const std::vector<std::string> documents = documents_of(files);
  const std::vector<std::string_view> views(documents.begin(), documents.end());
  const Splitter splitter;
  ChunkCounter counter(splitter);
  counter.add(views);
  const Vocabulary vocabulary =
      Vocabulary::from_tokens(token_strings(train_bpe(std::move(counter), 32768 - 256 - 9)));

  const test::TemporaryFolder folder;
  save_vocabulary(vocabulary, folder.path(), TokenizerFormat::kHuggingFace);
  save_vocabulary(vocabulary, folder.path(), TokenizerFormat::kTiktoken);
  folder.write("pattern", vocabulary.pattern);
  folder.write("script.py", kScript);
  std::string command =
      fmt::format("{} {} {}", python(), (folder / "script.py").string(), folder.path().string());
  for (const std::string& file : files) command += " " + file;
  command += fmt::format(" >{} 2>{}", (folder / "hashes").string(), (folder / "log").string());
  ASSERT_EQ(std::system(command.c_str()), 0) << read_file(folder / "log", 1 << 20);

  std::istringstream hashes(read_file(folder / "hashes", 1 << 28));
  const Tokenizer tokenizer(vocabulary);
  const std::vector<std::vector<int32_t>> rows = tokenizer.encode_batch(views);
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::string ours = test::sha256(test::bytes_of_ids(rows[i]));
    std::string openai;
    std::string hugging_face;
    ASSERT_TRUE(hashes >> openai >> hugging_face) << "document " << i;
    ASSERT_EQ(ours, openai) << "tiktoken: document " << i << ": " << views[i].substr(0, 60);
    ASSERT_EQ(ours, hugging_face) << "tokenizers: document " << i << ": " << views[i].substr(0, 60);
    ASSERT_EQ(tokenizer.decode_bytes(rows[i]), documents[i]) << "document " << i;
  }
}

}  // namespace
}  // namespace nanochat
