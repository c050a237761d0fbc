// labels: e2e
// nanochat serve as its users start and stop it.
#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "engine/small_model.h"
#include "serve/http_client.h"
#include "support/program.h"
#include "tokenizer/formats.h"
#include "tokenizer/small_vocabulary.h"
#include "tokenizer/tokenizer.h"
#include "train/checkpoint.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using test::ClientResponse;
using test::get_request;
using test::HttpClient;
using test::post_request;
using test::ProgramResult;
using test::response_to;
using test::RunningProgram;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Words = std::vector<std::string>;

constexpr int32_t kAssistantStart = 259, kAssistantEnd = 260;  // of small_vocabulary({})
constexpr const char* kHi = R"({"messages":[{"role":"user","content":"Hi"}]})";

class ServeTest : public ::testing::Test {
 protected:
  [[nodiscard]] fs::path base() const { return folder_ / "base"; }

  /// "ab" and the end, or abab... without one.
  void make_model(const std::string& stage, bool endless = false) const {
    const Tokenizer tokenizer(test::small_vocabulary({}));
    const fs::path folder = base() / "runs" / stage / "d1";
    const RunFolder run(folder);
    const std::map<int32_t, int32_t> successor{
        {kAssistantStart, 'a'}, {'a', 'b'}, {'b', endless ? 'a' : kAssistantEnd}};
    const auto weights = test::bigram_weights(successor, tokenizer.vocab_size(), 2048);
    save_checkpoint(run, 1, *weights, {}, {{"stage", stage}});
    save_vocabulary(tokenizer.vocabulary(), folder);
  }
  [[nodiscard]] Words serve(const Words& more) const {
    Words words{"serve", "--base-dir", base().string(), "--threads", "1"};
    if (std::ranges::find(more, "--port") == more.end()) {
      words.insert(words.end(), {"--port", "0"});
    }
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  /// The port in "http://127.0.0.1:PORT", the first line that it writes.
  [[nodiscard]] static int port_of(const RunningProgram& program) {
    for (int i = 0; i < 6000; ++i) {
      const std::string out = program.out_so_far();
      if (out.ends_with("\n")) {
        EXPECT_THAT(out, ::testing::StartsWith("http://127.0.0.1:"));
        return std::stoi(out.substr(out.rfind(':') + 1));
      }
      std::this_thread::sleep_for(10ms);
    }
    ADD_FAILURE() << "it does not say where it listens";
    return 0;
  }
  void expect_refusal(const Words& more, int exit_code, const std::string& why) const {
    const ProgramResult r = test::run_program(serve(more));
    EXPECT_EQ(r.exit_code, exit_code) << r.err;
    EXPECT_THAT(r.err, HasSubstr(why));
    EXPECT_EQ(r.out, "");
  }

  test::TemporaryFolder folder_;
};

TEST_F(ServeTest, AnswersUntilItIsAskedToEnd) {
  make_model("sft");
  for (const int signal : {SIGTERM, SIGINT}) {
    RunningProgram program(serve({}));
    const int port = port_of(program);
    const ClientResponse response = response_to(port, post_request("/v1/chat/completions", kHi));
    EXPECT_EQ(response.status, 200);
    EXPECT_THAT(response.body, HasSubstr("\"content\":\"ab\""));
    EXPECT_EQ(response_to(port, get_request("/")).status, 200);
    HttpClient idle(port);
    program.send(signal);
    const ProgramResult r = program.wait();
    EXPECT_EQ(r.exit_code, 0) << "nothing was cut off";
    EXPECT_THAT(r.err, AllOf(HasSubstr("sft:d1@1"), HasSubstr("\"path\":\"/v1/chat/completions\""),
                             Not(HasSubstr("Hi"))));
  }
}

TEST_F(ServeTest, AnswersThatRunMayEnd) {
  make_model("sft", true);
  RunningProgram program(serve({"--access-log", (folder_ / "log").string()}));
  HttpClient client(port_of(program));
  client.send(post_request("/v1/chat/completions",
                           R"({"messages":[{"role":"user","content":"Hi"}],"stream":true})"));
  EXPECT_EQ(client.read_head().status, 200);
  program.send(SIGTERM);
  std::string all;
  while (const auto chunk = client.read_chunk()) all += *chunk;
  EXPECT_THAT(all, HasSubstr("[DONE]"));
  EXPECT_EQ(program.wait().exit_code, 0);
  EXPECT_THAT(test::file_bytes(folder_ / "log"), HasSubstr("\"completion_tokens\":2042"));
}

TEST_F(ServeTest, AnswersThatDoNotEndAreCutOff) {
  make_model("sft", true);
  RunningProgram program(serve({"--drain-seconds", "0", "--context", "20480"}));
  HttpClient client(port_of(program));
  client.send(post_request("/v1/chat/completions",
                           R"({"messages":[{"role":"user","content":"Hi"}],"stream":true})"));
  EXPECT_EQ(client.read_head().status, 200);
  program.send(SIGTERM);
  std::string all;
  while (const auto chunk = client.read_chunk()) all += *chunk;
  EXPECT_THAT(all, HasSubstr("the server is being stopped"));
  EXPECT_EQ(program.wait().exit_code, 143);
}

TEST_F(ServeTest, ASecondSignalEndsItAtOnce) {
  make_model("sft", true);
  RunningProgram program(serve({"--context", "20480"}));
  HttpClient client(port_of(program));
  client.send(post_request("/v1/chat/completions", kHi));
  std::this_thread::sleep_for(100ms);
  program.send(SIGTERM);
  while (client.connected() && HttpClient(port_of(program)).connected()) {
    std::this_thread::sleep_for(10ms);  // until it listens no more: the first has arrived
  }
  program.send(SIGTERM);
  EXPECT_EQ(program.wait().exit_code, -SIGTERM);
}

TEST_F(ServeTest, ShowsTrainingWhereThereIsNoModel) {
  const fs::path runs = folder_ / "runs";
  folder_.write("runs/base/d4/metrics.jsonl", "{\"step\": 0, \"train/loss\": 3}\n");
  RunningProgram program(serve({"--runs", runs.string(), "--json"}));
  for (int i = 0; i < 6000 && !program.out_so_far().ends_with("\n"); ++i) {
    std::this_thread::sleep_for(10ms);
  }
  const nlohmann::json said = nlohmann::json::parse(program.out_so_far());
  EXPECT_TRUE(said.at("model").is_null());
  const auto url = said.at("url").get<std::string>();
  const int port = std::stoi(url.substr(url.rfind(':') + 1));
  EXPECT_EQ(response_to(port, get_request("/api/runs")).json().size(), 1U);
  EXPECT_EQ(response_to(port, get_request("/api/info")).json().at("has_model"), false);
  program.send(SIGTERM);
  EXPECT_EQ(program.wait().exit_code, 0);
  expect_refusal({}, 4, "train");
  expect_refusal({"sft", "--runs", runs.string()}, 4, "sft");
}

TEST_F(ServeTest, TheKeyComesFromAFile) {
  make_model("sft");
  const std::string file = folder_.write("key", "sesame\nsecond line\n");
  ::chmod(file.c_str(), 0600);
  RunningProgram program(serve({"--api-key-file", file, "--quiet"}));
  const int port = port_of(program);
  EXPECT_EQ(response_to(port, get_request("/v1/models")).status, 401);
  EXPECT_EQ(response_to(port, get_request("/v1/models", "Authorization: Bearer sesame\r\n")).status,
            200);
  program.send(SIGTERM);
  const ProgramResult r = program.wait();
  EXPECT_EQ(r.exit_code, 0);
  EXPECT_EQ(r.err, "") << "--quiet";
}

TEST_F(ServeTest, SaysWhatKeepsItFromServing) {
  make_model("sft");
  RunningProgram first(serve({}));
  const std::string port = std::to_string(port_of(first));
  expect_refusal({"--port", port}, 5, "port " + port + " of 127.0.0.1 is in use");
  expect_refusal({"--host", "no.such.host.invalid"}, 2, "no.such.host.invalid");
  expect_refusal({"--port", "65536"}, 2, "--port");
  expect_refusal({"--api-key", "a b"}, 2, "API key");
  expect_refusal({"--api-key", "a", "--api-key-file", "b"}, 2, "--api-key-file");
  expect_refusal({"--api-key-file", (folder_ / "none").string()}, 4, "none");
  expect_refusal({"--api-key-file", folder_.write("empty", "\n")}, 2, "no key");
  expect_refusal({"--cors-origin", "chat.example.com"}, 2, "--cors-origin");
  expect_refusal({"--cors-origin", "https://chat.example.com/path"}, 2, "--cors-origin");
  expect_refusal({"--access-log", (folder_ / "no/folder/log").string()}, 4, "no/folder");
  expect_refusal({"--slots", "0"}, 2, "slots");
  expect_refusal({"--max-memory", "1k"}, 2, "--max-memory");
  expect_refusal({"--context", "1000000"}, 2, "--context");
  expect_refusal({"--temperature", "3"}, 2, "--temperature");
  expect_refusal({"--max-connections", "0"}, 2, "--max-connections");
}

TEST_F(ServeTest, WarnsOfAnOpenDoor) {
  make_model("base");
  for (const bool has_key : {false, true}) {
    Words words{"--host", "0.0.0.0"};
    if (has_key) words.insert(words.end(), {"--api-key", "sesame"});
    RunningProgram program(serve(words));
    while (!program.out_so_far().ends_with("\n")) std::this_thread::sleep_for(10ms);
    program.send(SIGTERM);
    const ProgramResult r = program.wait();
    EXPECT_EQ(r.out.substr(0, 15), "http://0.0.0.0:");
    EXPECT_EQ(r.err.find("without a key") == std::string::npos, has_key) << r.err;
    EXPECT_THAT(r.err, HasSubstr("is a base model"));
  }
}

}  // namespace
}  // namespace nanochat
