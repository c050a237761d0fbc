// labels: e2e
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "support/program.h"
#include "support/refusal.h"
#include "support/temporary_folder.h"

namespace nanochat {
namespace {

using nlohmann::json;
using test::file_bytes;
using test::ProgramResult;
using test::run_program;
using test::TemporaryFolder;

class TaskCommand : public ::testing::Test {
 protected:
  ProgramResult run(std::vector<std::string> words) {
    words.insert(words.end(), {"--base-dir", base_.path().string()});
    return run_program(words);
  }
  json run_json(std::vector<std::string> words) {
    words.emplace_back("--json");
    const ProgramResult result = run(std::move(words));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return json::parse(result.out);
  }
  void expect_refusal(const std::vector<std::string>& words, int exit_code,
                      const std::string& text) {
    const ProgramResult result = run(words);
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_SAYS(result.err, text);
  }

  TemporaryFolder base_;
};

TEST_F(TaskCommand, ListsWhatIsRegistered) {
  const json tasks = run_json({"task", "list"}).at("tasks");
  EXPECT_GE(tasks.size(), 15U);
  EXPECT_EQ(tasks[0].at("name"), "ARC-Easy");
  EXPECT_SAYS(run({"task", "list"}).out, "SpellingBee");
}

TEST_F(TaskCommand, ShowsExamplesAsPeopleReadThem) {
  base_.write("given/gsm8k/test.jsonl",
              R"({"question": "q\u001b[31m", "answer": "So <<1+1=2>>2.\n#### 2"})");
  const std::vector<std::string> words{"task", "show", "gsm8k:test", "--task-data",
                                       (base_ / "given").string()};
  const ProgramResult shown = run(words);
  EXPECT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_EQ(shown.out,
            "GSM8K: 1 examples, judged as generative\n\n--- example 0\n[user]\nq\\x1b[31m\n"
            "[assistant]\nSo <python>1+1</python><output>2</output>2.\n#### 2\n");
  const json result = run_json(words);
  EXPECT_EQ(result.at("size"), 1);
  EXPECT_EQ(result.at("has_reward"), true);
  EXPECT_EQ(result.at("examples")[0].at("messages")[1].at("content")[1],
            json::parse(R"({"type": "python", "text": "1+1"})"));
}

TEST_F(TaskCommand, ShowsAsManyAsAskedForFromWhereAsked) {
  const json result = run_json({"task", "show", "spelling-bee:test", "-n", "2", "--start", "254"});
  EXPECT_EQ(result.at("examples").size(), 2U);
  EXPECT_EQ(result.at("examples")[1].at("index"), 255);
  expect_refusal({"task", "show", "spelling-bee:test", "--start", "256"}, 2, "has 256 examples");
}

TEST_F(TaskCommand, WhatIsAbsentOrMalformedIsNamed) {
  expect_refusal({"task", "show", "mmlu:test"}, 4, "nanochat data download mmlu");
  expect_refusal({"task", "show", "nothing"}, 4, "no task 'nothing' is known");
  expect_refusal({"task", "show", "mmlu", "--task-data", "/nowhere/at/all"}, 4, "no such folder");
  const std::string own = base_.write("own.jsonl", "\n{\"prompt\": 1}\n");
  expect_refusal({"task", "show", own}, 3, "own.jsonl:2: ");
}

TEST_F(TaskCommand, IdentityConversationsAreWrittenToBeEdited) {
  const json before = run_json({"task", "show", "identity"});
  const json written = run_json({"data", "identity", "--name", "Mo Mo"});
  EXPECT_EQ(written.at("conversations"), before.at("size"));
  const std::string path = (base_ / "identity_conversations.jsonl").string();
  EXPECT_EQ(written.at("path"), path);
  const std::string text = file_bytes(path);
  EXPECT_EQ(text.find("nanochat++"), std::string::npos);
  EXPECT_SAYS(text, "I am Mo Mo");
  EXPECT_SAYS(text, "我是Mo Mo");

  expect_refusal({"data", "identity"}, 2, "--overwrite");
  expect_refusal({"data", "identity", "--name", "a\"b", "--overwrite"}, 2, "a name of");
  base_.write("identity_conversations.jsonl", R"({"prompt": "Who?", "completion": "Me."})");
  const json after = run_json({"task", "show", "identity"});
  EXPECT_EQ(after.at("size"), 1);
  EXPECT_EQ(after.at("name"), "identity");
}

}  // namespace
}  // namespace nanochat
