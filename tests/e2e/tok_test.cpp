// labels: e2e
#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "support/compressed.h"
#include "support/program.h"
#include "support/temporary_folder.h"
#ifdef NANOCHAT_ARROW
#include "support/parquet_file.h"
#endif

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::file_bytes;
using test::ProgramResult;
using test::RunningProgram;
using Words = std::vector<std::string>;

/// One line on stderr that holds `text`, nothing on stdout.
void expect_refusal(const ProgramResult& result, int exit_code, const std::string& text) {
  EXPECT_EQ(result.exit_code, exit_code) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_TRUE(result.err.starts_with("error: ")) << result.err;
  EXPECT_NE(result.err.find(text), std::string::npos) << result.err;
  EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.err;
}

/// Documents of our own: a few hundred distinct words in changing order, some of them Chinese.
Words own_documents(int n) {
  constexpr std::string_view kSyllables[] = {"ka",   "to", "mer",          "in",
                                             "sol",  "ba", "ren",          "qui",
                                             "ster", "o",  "\u4f60\u597d", "\u4e16\u754c"};
  uint32_t random = 2024;
  const auto next = [&random](uint32_t below) {
    random = random * 1664525U + 1013904223U;
    return (random >> 16) % below;
  };
  Words documents;
  for (int d = 0; d < n; ++d) {
    std::string text;
    for (uint32_t w = 0, end = 5 + next(60); w < end; ++w) {
      if (w > 0) text += next(9) == 0 ? ", " : " ";
      for (uint32_t s = 0, last = next(3); s <= last; ++s) text += kSyllables[next(12)];
      if (next(12) == 0) text += fmt::format(" {}", next(3000));
    }
    documents.push_back(text + ".\n");
  }
  return documents;
}

std::string json_lines(const Words& documents) {
  std::string lines;
  for (const std::string& text : documents) lines += json{{"text", text}}.dump() + "\n";
  return lines;
}

class TokTest : public ::testing::Test {
 protected:
  /// With a base folder of the test's own.
  [[nodiscard]] Words with_base(Words words) const {
    words.insert(words.end(), {"--base-dir", (folder_ / "base").string()});
    return words;
  }
  [[nodiscard]] ProgramResult tok(Words words, const std::string& input = "") const {
    words.insert(words.begin(), "tok");
    return test::run_program(with_base(std::move(words)), input);
  }
  [[nodiscard]] json tok_json(Words words, const std::string& input = "") const {
    words.emplace_back("--json");
    const ProgramResult result = tok(std::move(words), input);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(std::ranges::count(result.out, '\n'), 1) << result.out;
    return json::parse(result.out);
  }
  /// Trains "small" on 400 documents, once for each test that asks.
  void train_small() const {
    const std::string data = folder_.write("small.jsonl", json_lines(own_documents(400)));
    const ProgramResult result =
        tok({"train", "--data", data, "--vocab-size", "500", "--out", "small"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }
  [[nodiscard]] fs::path stored(const std::string& name) const {
    return folder_.path() / "base" / "tokenizer" / name;
  }
  [[nodiscard]] std::string stored_bytes(const std::string& name) const {
    return file_bytes(stored(name) / "tokenizer.nanochat.json");
  }

  test::TemporaryFolder folder_;
};

TEST_F(TokTest, TextComesBackByteForByte) {
  train_small();
  std::string bytes = "Kato merin, \u4f60\u597d \u4e16\u754c 1234 <|bos|>\r\n\n \t end";
  for (int i = 0; i < 512; ++i) bytes += static_cast<char>(i * 37);  // every byte, not UTF-8
  for (const std::string& text : {bytes, std::string(), std::string("\n"), std::string(1, '\0')}) {
    const std::string file = folder_.write("text", text);
    const ProgramResult ids = tok({"encode", "--tokenizer", "small", file});
    ASSERT_EQ(ids.exit_code, 0) << ids.err;
    EXPECT_EQ(ids.out.find('\n'), ids.out.size() - 1) << "one line";
    EXPECT_EQ(tok({"encode", "--tokenizer", "small"}, text).out, ids.out) << "standard input";
    const ProgramResult back = tok({"decode", "--tokenizer", "small", "-"}, ids.out);
    ASSERT_EQ(back.exit_code, 0) << back.err;
    EXPECT_EQ(back.out, text);
  }
}

TEST_F(TokTest, IdsAreTakenFromTheCommandLineToo) {
  train_small();
  EXPECT_EQ(tok({"decode", "--tokenizer", "small", "72", "105"}).out, "Hi");
  EXPECT_EQ(tok({"decode", "--tokenizer", "small", "72 105,33"}).out, "Hi!");
  EXPECT_EQ(tok({"decode", "--tokenizer", "small", "-"}, "[72, 105]\n").out, "Hi");
  EXPECT_EQ(tok({"decode", "--tokenizer", "small"}, "72 105\n").out, "Hi");
  EXPECT_EQ(tok({"decode", "--tokenizer", "small"}, "").out, "");
  EXPECT_EQ(tok({"decode", "--tokenizer", "small", "491"}).out, "<|bos|>");
}

TEST_F(TokTest, SpecialTokensComeOnlyWhenAskedFor) {
  train_small();
  const std::string text = "<|bos|>Ka";
  const json plain = tok_json({"encode", "--tokenizer", "small", "--text", text});
  const json special = tok_json({"encode", "--tokenizer", "small", "--text", text, "--specials"});
  EXPECT_EQ(special["ids"][0], 491);
  EXPECT_EQ(std::ranges::count(plain["ids"], json(491)), 0);
  EXPECT_EQ(plain["tokens"], plain["ids"].size());
  const json bos = tok_json({"encode", "--tokenizer", "small", "--text", "Ka", "--bos"});
  EXPECT_EQ(bos["ids"], special["ids"]);
}

TEST_F(TokTest, EveryKindOfFileTrainsTheSameTokenizer) {
  const Words documents = own_documents(1500);
  const std::string lines = json_lines(documents);
  std::string text;
  for (const std::string& document : documents) text += document + "<sep>";
  std::vector<std::string> paths{folder_.write("a.jsonl", lines),
                                 folder_.write("a.jsonl.gz", test::gzip(lines)),
                                 folder_.write("a.jsonl.zst", test::zstd(lines)),
                                 folder_.write("a.txt", text),
                                 folder_.write("a.txt.gz", test::gzip(text)),
                                 folder_.write("a.txt.zst", test::zstd(text))};
#ifdef NANOCHAT_ARROW
  paths.push_back((folder_ / "a.parquet").string());
  test::write_parquet(paths.back(), documents, {.rows_per_group = 400});
#endif
  std::string expected;
  for (const std::string& path : paths) {
    SCOPED_TRACE(path);
    const ProgramResult result = tok({"train", "--data", path, "--txt-separator", "<sep>",
                                      "--vocab-size", "600", "--out", "any", "--quiet"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    if (expected.empty()) expected = stored_bytes("any");
    EXPECT_EQ(stored_bytes("any"), expected);
  }
#ifndef NANOCHAT_ARROW
  GTEST_SKIP() << "all but parquet: this build has no Arrow";
#endif
}

TEST_F(TokTest, ThreadsAndFilesDoNotChangeTheTokenizer) {
  const Words documents = own_documents(1500);
  const std::string whole = folder_.write("whole.jsonl", json_lines(documents));
  folder_.write("parts/2.jsonl", json_lines({documents.begin() + 700, documents.end()}));
  folder_.write("parts/1.jsonl", json_lines({documents.begin(), documents.begin() + 700}));
  ASSERT_EQ(tok({"train", "--data", whole, "--vocab-size", "600", "--out", "a"}).exit_code, 0);
  for (const char* threads : {"1", "3"}) {
    ASSERT_EQ(tok({"train", "--data", (folder_ / "parts").string(), "--vocab-size", "600", "--out",
                   "b", "--threads", threads})
                  .exit_code,
              0);
    EXPECT_EQ(stored_bytes("b"), stored_bytes("a"));
  }
}

TEST_F(TokTest, TrainingSaysWhatItDidAsOneObject) {
  const std::string data = folder_.write("a.jsonl", json_lines(own_documents(400)));
  const json result = tok_json({"train", "--data", data, "--vocab-size", "500", "--out", "n"});
  EXPECT_EQ(result["vocab_size"], 500);
  EXPECT_EQ(result["merges"], 500 - 256 - 9);
  EXPECT_EQ(result["special_tokens"], 9);
  EXPECT_EQ(result["documents"], 400);
  EXPECT_EQ(result["path"], stored("n").string());
  EXPECT_EQ(result["token_bytes"]["min"], 1);
  EXPECT_GT(result["token_bytes"]["max"], 4);
  const json token_bytes = json::parse(file_bytes(stored("n") / "token_bytes.json"));
  ASSERT_EQ(token_bytes.size(), 500U);
  EXPECT_EQ(token_bytes[0], 1);
  EXPECT_EQ(token_bytes[499], 0) << "a special token";
}

/// Upstream's rules: characters are code points, and the document that exceeds the total counts.
TEST_F(TokTest, DocCapAndMaxCharsCountCharacters) {
  const std::string wide = "\u4f60\u597d\u4e16\u754c\u4f60\u597d\u4e16\u754c";  // 8, 24 bytes
  const std::string data = folder_.write("a.jsonl", json_lines({wide, "abcdefghij", "ab", "abc"}));
  const auto train = [&](const char* doc_cap, const char* max_chars) {
    const json result = tok_json({"train", "--data", data, "--vocab-size", "265", "--out", "n",
                                  "--doc-cap", doc_cap, "--max-chars", max_chars});
    return Words{result["documents"].dump(), result["characters"].dump(), result["bytes"].dump()};
  };
  EXPECT_EQ(train("10000", "2e9"), (Words{"4", "23", "39"}));
  EXPECT_EQ(train("0", "1M"), (Words{"4", "23", "39"}));
  EXPECT_EQ(train("5", "1000"), (Words{"4", "15", "25"}));
  EXPECT_EQ(train("5", "10"), (Words{"3", "12", "22"})) << "10 is not exceeded by 10";
  EXPECT_EQ(train("5", "9"), (Words{"2", "10", "20"}));
  EXPECT_EQ(train("5", "0"), (Words{"1", "5", "15"}));
}

TEST_F(TokTest, TheTrainSplitLeavesTheLastFileOut) {
  for (int i = 0; i < 3; ++i) {
    folder_.write(fmt::format("d/{}.jsonl", i), json_lines(own_documents(10 * (i + 1))));
  }
  const std::string data = (folder_ / "d").string();
  const auto documents = [&](const char* split) {
    return tok_json({"train", "--data", data, "--vocab-size", "280", "--split", split})
        .at("documents")
        .get<int>();
  };
  EXPECT_EQ(documents("all"), 60);
  EXPECT_EQ(documents("train"), 30);
  EXPECT_EQ(documents("val"), 30);
  expect_refusal(tok({"train", "--data", data + "/0.jsonl", "--split", "train"}), 2, "--split");
}

TEST_F(TokTest, WhatIsLostOnTheWayIsSaid) {
  const std::string data = folder_.write("book.txt", std::string(50'000, 'a'));
  const ProgramResult capped = tok({"train", "--data", data, "--vocab-size", "300"});
  EXPECT_EQ(capped.exit_code, 0);
  EXPECT_NE(capped.err.find("warning: --doc-cap 10000 kept 20.0%"), std::string::npos)
      << capped.err;
  EXPECT_NE(capped.err.find("too little text for --vocab-size"), std::string::npos) << capped.err;

  folder_.write("d/1.jsonl", "{\"text\": \"Kato\"}\nbroken\n");
  folder_.write("d/2.jsonl", "{\"text\": \"Kato\"}\n");
  const Words words{"train", "--data", (folder_ / "d").string(), "--vocab-size", "265"};
  expect_refusal(tok([&] {
                   auto w = words;
                   w.push_back("--quiet");
                   return w;
                 }()),
                 3, "1.jsonl:2: ");
  Words skipping = words;
  skipping.insert(skipping.end(), {"--skip-bad-shards", "--json"});
  const ProgramResult skipped = tok(skipping);
  EXPECT_EQ(skipped.exit_code, 0);
  EXPECT_EQ(json::parse(skipped.out)["skipped_files"], 1);
  EXPECT_NE(skipped.err.find("warning: skipped: "), std::string::npos) << skipped.err;
}

TEST_F(TokTest, OtherPatternsAreTaken) {
  const std::string data = folder_.write("a.jsonl", json_lines(Words(50, "123456 123456")));
  const auto longest = [&](const char* pattern) {
    return tok_json({"train", "--data", data, "--vocab-size", "300", "--pattern", pattern})
        .at("token_bytes")
        .at("max")
        .get<int>();
  };
  EXPECT_EQ(longest("nanochat"), 2);
  EXPECT_EQ(longest("gpt4"), 3);
  EXPECT_EQ(longest("\\d+|[^\\d]+"), 6);
}

TEST_F(TokTest, ExportedTokenizersComeBackTheSame) {
  train_small();
  const std::string text = "Kato merin, \u4f60\u597d 1234!\n";
  const std::string expected = tok({"encode", "--tokenizer", "small", "--text", text}).out;
  for (const char* to : {"own", "huggingface", "tiktoken"}) {
    SCOPED_TRACE(to);
    const std::string file = (folder_ / fmt::format("exported.{}", to)).string();
    const ProgramResult exported =
        tok({"export", "--tokenizer", "small", "--to", to, "--out", file, "--quiet"});
    ASSERT_EQ(exported.exit_code, 0) << exported.err;
    EXPECT_EQ(tok({"encode", "--tokenizer", file, "--text", text}).out, expected);
    const json imported = tok_json({"import", file, "--out", "imported"});
    EXPECT_EQ(imported["vocab_size"], 500);
    EXPECT_EQ(stored_bytes("imported"), stored_bytes("small"));
    EXPECT_TRUE(fs::exists(stored("imported") / "token_bytes.json"));
  }
  // A folder of one's own choice, by a path.
  const std::string elsewhere = (folder_ / "else/where").string();
  ASSERT_EQ(tok({"import", stored("small").string(), "--out", elsewhere}).exit_code, 0);
  EXPECT_EQ(tok({"encode", "--tokenizer", elsewhere, "--text", text}).out, expected);
}

TEST_F(TokTest, RanksAreImportedWithThePatternAndSpecialsTheyLack) {
  train_small();
  const std::string ranks = (folder_ / "a.tiktoken").string();
  ASSERT_EQ(tok({"export", "--tokenizer", "small", "--to", "tiktoken", "--out", ranks}).exit_code,
            0);
  const json imported = tok_json({"import", ranks, "--out", "i", "--pattern", "gpt4", "--special",
                                  "<|endoftext|>=600", "a=b=700"});
  EXPECT_EQ(imported["vocab_size"], 701);
  EXPECT_EQ(imported["special_tokens"], 2);
  EXPECT_NE(imported["pattern"].get<std::string>().find("{1,3}"), std::string::npos);
  EXPECT_EQ(tok({"decode", "--tokenizer", "i", "700"}).out, "a=b");
  expect_refusal(tok({"import", ranks, "--special", "x"}), 2, "NAME=ID");
  expect_refusal(tok({"import", ranks, "--special", "x=3"}), 3, "");
}

TEST_F(TokTest, InspectShowsTokensAndEscapesWhatIsNoText) {
  train_small();
  const ProgramResult plain =
      tok({"inspect", "--tokenizer", "small", "--specials"}, "Zw\n\xff\x1b<|bos|>");
  EXPECT_EQ(plain.out, "90\tZ\n119\tw\n10\t\\n\n255\t\\xff\n27\t\\x1b\n491\t<|bos|>\n");
  const ProgramResult coloured =
      tok({"inspect", "--tokenizer", "small", "--color", "always", "--text", "Zw"});
  EXPECT_NE(coloured.out.find("\x1b[30;46mZ"), std::string::npos) << coloured.out;
  EXPECT_NE(coloured.out.find("\x1b[30;43mw"), std::string::npos) << coloured.out;
  EXPECT_NE(coloured.out.find("2 bytes, 2 tokens"), std::string::npos) << coloured.out;
  const json object = tok_json({"inspect", "--tokenizer", "small", "--text", "Z\xff"});
  EXPECT_EQ(object["tokens"][1], (json{{"id", 255}, {"bytes", 1}, {"text", "\\xff"}}));
}

TEST_F(TokTest, EvalComparesAndReports) {
  train_small();
  const std::string data = folder_.write("other.jsonl", json_lines(own_documents(900)));
  ASSERT_EQ(tok({"train", "--data", data, "--vocab-size", "265", "--out", "bytes"}).exit_code, 0);
  folder_.write("samples/1.txt", "Kato merin.");
  folder_.write("samples/2.txt", "Solba ren.");
  const Words words{"eval",      "--tokenizer", "small",
                    "--against", "bytes",       "--data",
                    data,        "--data",      (folder_ / "samples").string()};
  const ProgramResult table = tok(words);
  ASSERT_EQ(table.exit_code, 0) << table.err;
  for (const char* part : {"Ours", "bytes", "chinese", "other", "samples-train", "samples-val"}) {
    EXPECT_NE(table.out.find(part), std::string::npos) << part << "\n" << table.out;
  }
  EXPECT_EQ(table.out.find('\x1b'), std::string::npos) << "no colours into a file";

  const json result = tok_json(words);
  EXPECT_EQ(result["name"], "small");
  ASSERT_EQ(result["against"].size(), 1U);
  const json& ours = result["texts"].back();
  const json& theirs = result["against"][0]["texts"].back();
  EXPECT_EQ(ours["name"], "samples-val");
  EXPECT_EQ(ours["bytes"], 10);
  EXPECT_EQ(theirs["tokens"], 10) << "a vocabulary of bytes";
  EXPECT_LT(ours["tokens"], theirs["tokens"]);
  EXPECT_GT(theirs["relative_difference_percent"], 0);
}

TEST_F(TokTest, WhatMakesNoSenseIsAUsageError) {
  train_small();
  const std::string data = (folder_ / "small.jsonl").string();
  expect_refusal(tok({}), 2, "nanochat tok --help");
  expect_refusal(tok({"fly"}), 2, "unknown command 'tok fly'");
  expect_refusal(tok({"train"}), 2, "--data");
  expect_refusal(tok({"train", "--data", data, "--vocab-size", "264"}), 2, "at least 265");
  expect_refusal(tok({"train", "--data", data, "--vocab-size", "-5"}), 2, "--vocab-size");
  expect_refusal(tok({"train", "--data", data, "--vocab-size", "many"}), 2, "'many'");
  expect_refusal(tok({"train", "--data", data, "--vocab-size", "300.5"}), 2, "'300.5'");
  expect_refusal(tok({"train", "--data", data, "--max-chars", "1e30"}), 2, "'1e30'");
  expect_refusal(tok({"train", "--data", data, "--split", "test"}), 2, "--split");
  expect_refusal(tok({"train", "--data", data, "--pattern", "(", "--quiet"}), 2, "pattern");
  expect_refusal(tok({"train", "--data", data, "--out", ""}), 2, "--out");
  expect_refusal(tok({"train", "--data", folder_.write("a.csv", "a"), "--quiet"}), 2, "a.csv");
  expect_refusal(tok({"encode", "--tokenizer", "small", "--text", "a", data}), 2, "--text");
  expect_refusal(tok({"decode", "--tokenizer", "small", "12a"}), 2, "'12a'");
  expect_refusal(tok({"decode", "--tokenizer", "small", "99999999999"}), 2, "'99999999999'");
  expect_refusal(tok({"export", "--tokenizer", "small", "--to", "gguf", "--out", "x"}), 2, "--to");
  expect_refusal(tok({"inspect", "--tokenizer", "small", "--color", "blue"}), 2, "--color");
}

TEST_F(TokTest, BadDataIsRefused) {
  train_small();
  expect_refusal(tok({"decode", "--tokenizer", "small", "500"}), 3, "500");
  expect_refusal(tok({"decode", "--tokenizer", "small", "-"}, "72 x"), 3, "standard input");
  const auto trained_on = [&](const std::string& path) {
    return tok({"train", "--quiet", "--data", path});
  };
  expect_refusal(trained_on(folder_.write("a.jsonl", "{\"text\": 3}\n")), 3, "a.jsonl:1: ");
  expect_refusal(trained_on(folder_.write("a.jsonl", "{\"body\": \"a\"}\n")), 3, "--text-field");
  expect_refusal(trained_on(folder_.write("a.txt.gz", "no gzip")), 3, "a.txt.gz");
  expect_refusal(trained_on(folder_.write("a.txt", "")), 3, "no documents");
#ifdef NANOCHAT_ARROW
  expect_refusal(trained_on(folder_.write("a.parquet", "PAR1 and no more")), 3, "a.parquet");
#else
  expect_refusal(trained_on(folder_.write("a.parquet", "PAR1")), 2, "install pyarrow");
#endif
  std::string damaged = stored_bytes("small");
  damaged[damaged.size() / 2] ^= 1;
  expect_refusal(
      tok({"encode", "--tokenizer", folder_.write("d.nanochat.json", damaged), "--text", "a"}), 3,
      "d.nanochat.json");
  EXPECT_FALSE(fs::exists(stored("default"))) << "nothing was left behind";
}

TEST_F(TokTest, WhatIsNotThereIsNotFound) {
  expect_refusal(tok({"encode", "--text", "a"}), 4, "no tokenizer 'default'");
  train_small();
  expect_refusal(tok({"encode", "--tokenizer", "smal", "--text", "a"}), 4, "there: small");
  expect_refusal(tok({"encode", "--tokenizer", "./small", "--text", "a"}), 4, "./small");
  expect_refusal(tok({"encode", "--tokenizer", "small", "/none.txt"}), 4, "/none.txt");
  expect_refusal(tok({"train", "--data", "/none.jsonl"}), 4, "/none.jsonl");
  expect_refusal(tok({"train", "--data", "/none/*.jsonl"}), 4, "/none/*.jsonl");
  expect_refusal(tok({"import", "/none.json"}), 4, "/none.json");
  expect_refusal(tok({"eval", "--tokenizer", "small", "--against", "none"}), 4, "'none'");
}

TEST_F(TokTest, WhatCannotBeWrittenIsKnownBeforeTraining) {
  train_small();
  const std::string file = folder_.write("file", "");
  expect_refusal(tok({"train", "--data", "/none.jsonl", "--out", file + "/x"}), 4, file);
  expect_refusal(tok({"export", "--tokenizer", "small", "--to", "own", "--out", "/dev/full"}), 5,
                 "/dev/full");
  EXPECT_EQ(tok({"encode", "--tokenizer", "small", "--text", "a"}).exit_code, 0);
}

/// Reading stops in the middle of a file that only this test can end.
TEST_F(TokTest, ASignalWhileReadingLeavesNothing) {
  for (const int signal : {SIGTERM, SIGINT}) {
    const std::string pipe = (folder_ / fmt::format("{}.jsonl", signal)).string();
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    RunningProgram training(
        with_base({"tok", "train", "--data", pipe, "--vocab-size", "300", "--quiet"}));
    {
      std::ofstream writer(pipe);  // waits for the reader
      writer << json_lines(own_documents(3000)) << std::flush;
      training.send(signal);
    }
    const ProgramResult result = training.wait();
    EXPECT_EQ(result.exit_code, 128 + signal) << result.err;
    EXPECT_EQ(result.err, "error: interrupted\n");
    EXPECT_FALSE(fs::exists(stored("default")));
  }
}

TEST_F(TokTest, ASignalAtAnyMomentLeavesAWholeTokenizerOrNone) {
  std::string lines;
  uint32_t random = 7;
  for (int i = 0; i < 20'000; ++i) {  // distinct words, so that merging takes its time
    std::string text;
    for (int k = 0; k < 300; ++k) {
      random = random * 1664525U + 1013904223U;
      text += random >> 29 == 0 ? ' ' : static_cast<char>('a' + (random >> 16) % 26);
    }
    lines += fmt::format("{{\"text\":\"{}\"}}\n", text);
  }
  const std::string data = folder_.write("a.jsonl", lines);
  int interrupted = 0;
  for (const int signal : {SIGTERM, SIGINT, SIGKILL}) {
    for (const int milliseconds : {20, 150, 500}) {
      SCOPED_TRACE(fmt::format("signal {} after {} ms", signal, milliseconds));
      RunningProgram training(with_base({"tok", "train", "--data", data, "--quiet"}));
      std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
      training.send(signal);
      const ProgramResult result = training.wait();
      if (result.exit_code == 0) {
        EXPECT_EQ(tok({"encode", "--text", "a"}).exit_code, 0);
        fs::remove_all(stored("default"));
        continue;
      }
      ++interrupted;
      // Before the handlers are there, a signal ends the process as it always does.
      EXPECT_TRUE(result.exit_code == 128 + signal || result.exit_code == -signal)
          << result.exit_code << result.err;
      EXPECT_FALSE(fs::exists(stored("default") / "tokenizer.nanochat.json"));
    }
  }
  EXPECT_GT(interrupted, 0);
}

}  // namespace
}  // namespace nanochat
