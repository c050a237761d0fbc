// The APIs of a model over loopback.
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/tools/calculator.h"
#include "serve/model_api.h"
#include "serve/site_fixture.h"

namespace nanochat::serve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

using ApisTest = SiteTest;

// ---- OpenAI's chat -----------------------------------------------------------------------------

TEST_F(ApisTest, AnswersAChat) {
  start();
  const ClientResponse response = chat();
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(response.header("content-type"), "application/json");
  const json body = response.json();
  EXPECT_EQ(body.at("object"), "chat.completion");
  EXPECT_EQ(body.at("model"), "sft:test@1");
  EXPECT_THAT(body.at("id").get<std::string>(), ::testing::StartsWith("chatcmpl-"));
  const json& choice = body.at("choices").at(0);
  EXPECT_EQ(choice.at("message").at("role"), "assistant");
  EXPECT_EQ(choice.at("message").at("content"), "Hi, wor你!");
  EXPECT_EQ(choice.at("finish_reason"), "stop");
  EXPECT_FALSE(choice.at("message").contains("parts"));
  EXPECT_EQ(body.at("usage").at("prompt_tokens"), 6);
  EXPECT_EQ(body.at("usage").at("completion_tokens"), 11);
  EXPECT_EQ(body.at("usage").at("total_tokens"), 17);
  EXPECT_GT(body.at("timings").at("time_to_first_token"), 0);
}

TEST_F(ApisTest, StreamsAChatInWholeCharacters) {
  start({.successor = says("a\xe4\xbd\xa0z")});
  const ClientResponse response = chat(R"("stream":true,"stream_options":{"include_usage":true})");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.header("content-type"), "text/event-stream; charset=utf-8");
  EXPECT_EQ(response.header("x-accel-buffering"), "no");
  const std::vector<std::string> data = events(response.body);
  ASSERT_EQ(data.size(), 7U) << response.body;
  EXPECT_EQ(json::parse(data[0]).at("choices").at(0).at("delta"),
            (json{{"role", "assistant"}, {"content", ""}}));
  std::vector<std::string> texts;
  for (size_t i = 1; i < 4; ++i) {
    const json chunk = json::parse(data[i]);
    EXPECT_EQ(chunk.at("object"), "chat.completion.chunk");
    EXPECT_EQ(chunk.at("id"), json::parse(data[0]).at("id"));
    EXPECT_EQ(chunk.at("choices").at(0).at("index"), 0);
    EXPECT_TRUE(chunk.at("choices").at(0).at("finish_reason").is_null());
    EXPECT_TRUE(chunk.at("usage").is_null());
    texts.push_back(chunk.at("choices").at(0).at("delta").at("content"));
  }
  EXPECT_THAT(texts, ElementsAre("a", "你", "z"));
  EXPECT_EQ(json::parse(data[4]).at("choices").at(0).at("finish_reason"), "stop");
  const json usage = json::parse(data[5]);
  EXPECT_TRUE(usage.at("choices").empty());
  EXPECT_EQ(usage.at("usage").at("completion_tokens"), 5);
  EXPECT_GT(usage.at("timings").at("time_to_first_token"), 0);
  EXPECT_EQ(data[6], "[DONE]");
  EXPECT_EQ(events(chat(R"("stream":true)").body).size(), 6U) << "no usage unless asked for";
}

TEST_F(ApisTest, ShowsTheCallsOfItsTool) {
  std::map<int32_t, int32_t> successor = says("=", kPythonStart);
  successor[kPythonStart] = '6';
  successor['6'] = '*';
  successor['*'] = '7';
  successor['7'] = kPythonEnd;
  successor[kOutputEnd] = '!';
  successor['!'] = kAssistantEnd;
  SiteSetup setup{.successor = successor};
  setup.engine.tool = calculate;
  start(setup);
  const json message = chat().json().at("choices").at(0).at("message");
  EXPECT_EQ(message.at("content"), "=!");
  EXPECT_EQ(message.at("parts"), json::parse(R"([{"type":"text","text":"="},
      {"type":"python","text":"6*7"},{"type":"python_output","text":"42"},
      {"type":"text","text":"!"}])"));
  std::vector<json> deltas;
  for (const std::string& data : events(chat(R"("stream":true)").body)) {
    if (data == "[DONE]") continue;
    deltas.push_back(json::parse(data).at("choices").at(0).at("delta"));
  }
  ASSERT_EQ(deltas.size(), 9U);
  EXPECT_EQ(deltas[2], json::parse(R"({"tool":{"type":"python","text":"6"}})"));
  EXPECT_EQ(deltas[5], json::parse(R"({"tool":{"type":"python_output","text":"4"}})"));
  EXPECT_EQ(deltas[7], json::parse(R"({"content":"!"})"));
}

TEST_F(ApisTest, StopsAtAStopTextAndAtMaxTokens) {
  start({.successor = endless()});
  const auto choice = [](const ClientResponse& r) { return r.json().at("choices").at(0); };
  const json stopped = choice(chat(R"("stop":"ca")"));
  EXPECT_EQ(stopped.at("message").at("content"), "ab");
  EXPECT_EQ(stopped.at("finish_reason"), "stop");
  const json cut = choice(chat(R"("max_tokens":4)"));
  EXPECT_EQ(cut.at("message").at("content"), "abca");
  EXPECT_EQ(cut.at("finish_reason"), "length");
  const json full = choice(chat());
  EXPECT_EQ(full.at("message").at("content").get<std::string>().size(), 120U - 6) << "the context";
  EXPECT_EQ(full.at("finish_reason"), "length");
}

TEST_F(ApisTest, GivesSeveralAnswersThatDependOnTheSeedAlone) {
  start({.successor = {}});  // all tokens are alike to it
  const std::string members = R"("n":3,"temperature":2,"max_tokens":8,"seed":5,"top_k":0)";
  const json first = chat(members).json().at("choices");
  ASSERT_EQ(first.size(), 3U);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(first[i].at("index"), i);
  EXPECT_NE(first[0].at("message"), first[1].at("message"));
  EXPECT_EQ(chat(members).json().at("choices"), first);
  // As a stream: the same texts, each under its index.
  std::map<int, std::string> texts;
  for (const std::string& data : events(chat(members + R"(,"stream":true)").body)) {
    if (data == "[DONE]") continue;
    const json choice = json::parse(data).at("choices").at(0);
    texts[choice.at("index")] += choice.at("delta").value("content", "");
  }
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(texts[static_cast<int>(i)], first[i].at("message").at("content"));
  }
}

TEST_F(ApisTest, TellsLogProbabilities) {
  start({.successor = says("ab")});
  const json content = chat(R"("logprobs":true,"top_logprobs":2)")
                           .json()
                           .at("choices")
                           .at(0)
                           .at("logprobs")
                           .at("content");
  ASSERT_EQ(content.size(), 2U);
  EXPECT_EQ(content[0].at("token"), "a");
  EXPECT_EQ(content[0].at("bytes"), json::array({'a'}));
  EXPECT_EQ(content[0].at("top_logprobs").size(), 2U);
  EXPECT_EQ(content[0].at("top_logprobs")[0].at("token"), "a");
  EXPECT_EQ(content[0].at("top_logprobs")[0].at("logprob"), content[0].at("logprob"));
  EXPECT_LT(content[0].at("logprob"), 0);
  EXPECT_GT(content[0].at("logprob"), content[0].at("top_logprobs")[1].at("logprob"));
  size_t n = 0;
  for (const std::string& data : events(chat(R"("logprobs":true,"stream":true)").body)) {
    if (data == "[DONE]") continue;
    const json choice = json::parse(data).at("choices").at(0);
    if (!choice.at("logprobs").is_null()) n += choice.at("logprobs").at("content").size();
  }
  EXPECT_EQ(n, 2U);
}

TEST_F(ApisTest, RefusesAConversationThatDoesNotFit) {
  start();
  for (const size_t bytes : {size_t{120}, size_t{5000}, size_t{900000}}) {
    const ClientResponse response = post(
        "/v1/chat/completions", fmt::format(R"({{"messages":[{{"role":"user","content":"{}"}}]}})",
                                            std::string(bytes, 'a')));
    EXPECT_EQ(response.status, 400);
    EXPECT_EQ(response.error("code"), "context_length_exceeded");
  }
}

TEST_F(ApisTest, RefusesWithOpenAisErrorObject) {
  start();
  const ClientResponse bad = chat(R"("temperature":9)");
  EXPECT_EQ(bad.status, 400);
  EXPECT_EQ(bad.error("param"), "temperature");
  EXPECT_EQ(bad.error("type"), "invalid_request_error");
  const ClientResponse other = chat(R"("model":"gpt-4")");
  EXPECT_EQ(other.status, 404);
  EXPECT_EQ(other.error("code"), "model_not_found");
  EXPECT_EQ(chat(R"("model":"sft:test@1")").status, 200);
  EXPECT_EQ(post("/v1/chat/completions", "{").error("code"), "invalid_json");
  EXPECT_EQ(post("/v1/chat/completions", "").status, 400);
  EXPECT_EQ(get("/nothing").status, 404);
  const ClientResponse method = get("/v1/chat/completions");
  EXPECT_EQ(method.status, 405);
  EXPECT_EQ(method.header("allow"), "POST, OPTIONS");
  EXPECT_EQ(post("/v1/models", "{}").header("allow"), "GET, HEAD, OPTIONS");
}

TEST_F(ApisTest, WantsJson) {
  start();
  // Another origin's page can send these without asking first.
  for (const char* const type :
       {"", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: text/plain; application/json\r\n"}) {
    const ClientResponse response = post("/v1/chat/completions", fmt::format("{{{}}}", kHi), type);
    EXPECT_EQ(response.status, 415) << type;
  }
  EXPECT_EQ(post("/v1/chat/completions", fmt::format("{{{}}}", kHi),
                 "Content-Type: Application/JSON; charset=utf-8\r\n")
                .status,
            200);
}

// ---- completions, models -----------------------------------------------------------------------

TEST_F(ApisTest, GoesOnWithTexts) {
  std::map<int32_t, int32_t> successor{
      {'a', 'b'}, {'b', 'c'}, {'c', kBos}, {'x', 'y'}, {'y', kBos}};
  start({.successor = successor});
  const ClientResponse response =
      post("/v1/completions",
           R"({"prompt":["a","x",""],"temperature":0,"logprobs":1,"n":1,"max_tokens":3})");
  ASSERT_EQ(response.status, 200) << response.body;
  const json body = response.json();
  EXPECT_EQ(body.at("object"), "text_completion");
  const json& choices = body.at("choices");
  EXPECT_EQ(choices.at(0).at("text"), "bc");
  EXPECT_EQ(choices.at(0).at("finish_reason"), "stop") << "the end of a document";
  EXPECT_EQ(choices.at(1).at("text"), "y");
  EXPECT_EQ(choices.at(2).at("finish_reason"), "length");
  const json& logprobs = choices.at(0).at("logprobs");
  EXPECT_EQ(logprobs.at("tokens"), (json{"b", "c"}));
  EXPECT_EQ(logprobs.at("text_offset"), (json{0, 1}));
  EXPECT_TRUE(logprobs.at("top_logprobs").at(0).contains("b"));
  EXPECT_EQ(post("/v1/completions", R"({"prompt":[97],"temperature":0})")
                .json()
                .at("choices")
                .at(0)
                .at("text"),
            "bc")
      << "ids";
  EXPECT_EQ(post("/v1/completions", R"({"prompt":"a","echo":true,"temperature":0})")
                .json()
                .at("choices")
                .at(0)
                .at("text"),
            "abc");
  EXPECT_EQ(post("/v1/completions", R"({"prompt":"a","echo":true,"max_tokens":0})")
                .json()
                .at("choices")
                .at(0)
                .at("text"),
            "a");
  std::string text;
  for (const std::string& data :
       events(post("/v1/completions", R"({"prompt":"a","echo":true,"stream":true,"temperature":0})")
                  .body)) {
    if (data != "[DONE]") text += json::parse(data).at("choices").at(0).at("text");
  }
  EXPECT_EQ(text, "abc");
  const ClientResponse none = post("/v1/completions", R"({"prompt":[999]})");
  EXPECT_EQ(none.status, 400);
  EXPECT_EQ(none.error("param"), "prompt");
}

TEST_F(ApisTest, ListsItsModel) {
  start();
  const json models = get("/v1/models").json();
  EXPECT_EQ(models.at("data").at(0), json::parse(R"({"id":"sft:test@1","object":"model",
      "created":1750000000,"owned_by":"nanochat"})"));
  EXPECT_EQ(get("/v1/models/sft%3Atest%401").json(), models.at("data").at(0));
  EXPECT_EQ(get("/v1/models/sft:test@1").status, 200);
  EXPECT_EQ(get("/v1/models/other/name").status, 404);
  EXPECT_EQ(get("/v1/models/").status, 404);
}

// ---- upstream's API ----------------------------------------------------------------------------

TEST_F(ApisTest, SpeaksUpstreamsProtocol) {
  start({.successor = says("a\xe4\xbd\xa0")});
  const ClientResponse response = post("/chat/completions", fmt::format("{{{}}}", kHi));
  EXPECT_EQ(response.header("content-type"), "text/event-stream; charset=utf-8");
  EXPECT_EQ(response.body,
            "data: {\"token\": \"a\", \"gpu\": 0}\n\ndata: {\"token\": \"你\", \"gpu\": 0}\n\n"
            "data: {\"done\": true}\n\n");
  EXPECT_EQ(get("/health").body,
            R"({"status":"ok","ready":true,"num_gpus":2,"available_workers":2})");
  const json stats = get("/stats").json();
  EXPECT_EQ(stats.at("total_workers"), 2);
  EXPECT_EQ(stats.at("workers").at(1), (json{{"gpu_id", 1}, {"device", "cpu"}}));
  const ClientResponse refused = post("/chat/completions", R"({"messages":[]})");
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.body, R"({"detail":"At least one message is required"})");
  EXPECT_EQ(post("/chat/completions", "{}").status, 422);
  const ClientResponse too_long = post(
      "/chat/completions",
      fmt::format(R"({{"messages":[{{"role":"user","content":"{}"}}]}})", std::string(200, 'a')));
  EXPECT_EQ(too_long.status, 400);
  EXPECT_THAT(too_long.json().at("detail").get<std::string>(), HasSubstr("context"));
}

// ---- load --------------------------------------------------------------------------------------

TEST_F(ApisTest, AClientThatGoesAwayFreesItsSlot) {
  SiteSetup setup{
      .successor = endless(), .engine = {.slots = 1, .context = 20000}, .sequence_len = 2048};
  start(setup);
  for (const bool stream : {true, false}) {
    HttpClient client(port());
    client.send(
        post_request("/v1/chat/completions", fmt::format(R"({{{},"stream":{}}})", kHi, stream)));
    if (stream) {
      EXPECT_EQ(client.read_head().status, 200);
      EXPECT_NE(client.read_chunk(), std::nullopt);
    } else {
      while (get("/stats").json().at("busy_workers") == 0) std::this_thread::sleep_for(1ms);
    }
    client.close();
    wait_until_idle();
  }
  EXPECT_EQ(metric("nanochat_generations_total{end=\"cancelled\"}"), 2);
  EXPECT_LT(metric("nanochat_generated_tokens_total"), 2 * 19990)
      << "they were not written to the end";
  EXPECT_EQ(chat(R"("max_tokens":3)").status, 200);
}

TEST_F(ApisTest, AFullQueueIsToldWhenToTryAgain) {
  SiteSetup setup{.successor = endless(),
                  .engine = {.slots = 1, .context = 20000},
                  .queue = 1,
                  .sequence_len = 2048};
  setup.server.max_unsent_bytes = 64 << 20;  // the running one is not read
  start(setup);
  HttpClient running(port()), waiting(port());
  const std::string request =
      post_request("/v1/chat/completions", fmt::format(R"({{{},"stream":true}})", kHi));
  running.send(request);
  EXPECT_EQ(running.read_head().status, 200);
  waiting.send(request);
  EXPECT_EQ(waiting.read_head().status, 200) << "it waits for a slot";
  const ClientResponse refused = chat();
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.error("code"), "queue_full");
  const int seconds = std::stoi(refused.header("retry-after"));
  EXPECT_GE(seconds, 1);
  EXPECT_LE(seconds, 60);
  EXPECT_EQ(post("/chat/completions", fmt::format("{{{}}}", kHi)).status, 429);
  const ClientResponse never = chat(R"("n":3)");
  EXPECT_EQ(never.status, 400) << "three can never wait in a queue of two";
  EXPECT_EQ(never.error("param"), "n");
  waiting.close();  // it frees its place, though it has no slot
  wait_for_metric("nanochat_generations_total{end=\"cancelled\"} 1");
  running.close();
  wait_until_idle();
  int status = 429;  // until word of it has come from the engine
  for (int i = 0; i < 3000 && status == 429; ++i) status = chat(R"("max_tokens":3)").status;
  EXPECT_EQ(status, 200);
}

TEST_F(ApisTest, ASlowReaderDoesNotKeepItsSlot) {
  SiteSetup setup{
      .successor = endless(), .engine = {.slots = 1, .context = 20000}, .sequence_len = 2048};
  setup.server.max_unsent_bytes = 64 << 10;
  setup.server.write_timeout = 0.3;
  start(setup);
  HttpClient slow(port(), 4096);
  slow.send(
      post_request("/v1/chat/completions", fmt::format(R"({{{},"stream":true,"n":1}})", kHi)));
  wait_for_metric("nanochat_generations_total{end=\"cancelled\"} 1");
  wait_until_idle();
  EXPECT_LT(metric("nanochat_generated_tokens_total"), 15000);
  EXPECT_EQ(chat(R"("max_tokens":3)").status, 200);
}

TEST_F(ApisTest, AnswersThatRunAtTheEndAreCutOffInWords) {
  SiteSetup setup{
      .successor = endless(), .engine = {.slots = 1, .context = 20000}, .sequence_len = 2048};
  setup.server.drain = 0;
  setup.server.max_unsent_bytes = 64 << 20;
  start(setup);
  HttpClient stream(port()), whole(port());
  stream.send(post_request("/v1/chat/completions", fmt::format(R"({{{},"stream":true}})", kHi)));
  EXPECT_EQ(stream.read_head().status, 200);
  whole.send(post_request("/v1/chat/completions", fmt::format("{{{}}}", kHi)));
  while (worker_->stats().waiting == 0) std::this_thread::sleep_for(1ms);
  stop_ = true;
  std::string last;
  while (const auto chunk = stream.read_chunk()) last = *chunk;
  EXPECT_THAT(last, HasSubstr("\"error\""));
  EXPECT_THAT(last, Not(HasSubstr("[DONE]")));
  EXPECT_EQ(whole.read_response().status, 503);
  stop();
  EXPECT_FALSE(drained_);
}

// ---- tokens ------------------------------------------------------------------------------------

TEST_F(ApisTest, CutsTextIntoTokens) {
  start();
  const ClientResponse response = post("/api/tokenize", R"({"text":"a你<|bos|>"})");
  ASSERT_EQ(response.status, 200);
  const json tokens = response.json().at("tokens");
  EXPECT_EQ(tokens.at(0), json::parse(R"({"id":97,"bytes":"YQ==","text":"a","special":false})"));
  EXPECT_EQ(tokens.at(1), json::parse(R"({"id":228,"bytes":"5A==","text":null,"special":false})"));
  EXPECT_EQ(tokens.size(), 11U) << "special tokens never come of text";
  EXPECT_EQ(post("/api/tokenize", "{}").error("param"), "text");
  EXPECT_EQ(post("/api/tokenize",
                 fmt::format(R"({{"text":"{}"}})", std::string(kMaxTokenizeBytes + 1, 'a')))
                .status,
            400);
}

TEST_F(ApisTest, TellsWhatTheModelExpects) {
  start({.successor = {{kBos, 'a'}, {'a', 'b'}, {'b', 'c'}}});
  const auto next = [&](const char* body) { return post("/api/next", body); };
  const json b = next(R"({"ids":[97,98,120],"position":1,"top":3})").json();
  ASSERT_EQ(b.at("top").size(), 3U);
  EXPECT_EQ(b.at("top")[0].at("id"), 'c');
  EXPECT_EQ(b.at("top")[0].at("text"), "c");
  EXPECT_GT(b.at("top")[0].at("logprob"), b.at("top")[1].at("logprob"));
  EXPECT_EQ(b.at("actual").at("id"), 120);
  EXPECT_GT(b.at("actual").at("rank"), 1);
  const json first = next(R"({"ids":[97,98],"position":-1})").json();
  EXPECT_EQ(first.at("top")[0].at("id"), 'a') << "behind the token that begins a document";
  EXPECT_EQ(first.at("actual").at("rank"), 1);
  EXPECT_EQ(first.at("actual").at("logprob"), first.at("top")[0].at("logprob"));
  const json last = next(R"({"ids":[97],"position":null,"top":0})").json();
  EXPECT_TRUE(last.at("actual").is_null());
  EXPECT_TRUE(last.at("top").empty());
  EXPECT_EQ(next(R"({"ids":[256,97],"position":0})").json().at("top")[0].at("id"), 'a')
      << "it is not put before itself";
  double sum = 0;
  const json all = next(R"({"ids":[],"top":265})").json();
  for (const json& t : all.at("top")) {
    sum += std::exp(t.at("logprob").get<double>());
  }
  EXPECT_NEAR(sum, 1, 1e-4);
  EXPECT_EQ(next(R"({"ids":[999]})").error("param"), "ids[0]");
  std::string many = "97";
  for (int i = 0; i < 120; ++i) many += ",97";
  EXPECT_EQ(next(fmt::format(R"({{"ids":[{}]}})", many).c_str()).error("code"),
            "context_length_exceeded");
  EXPECT_EQ(next(fmt::format(R"({{"ids":[{}],"position":3}})", many).c_str()).status, 200)
      << "only what comes before the place must fit";
}

}  // namespace
}  // namespace nanochat::serve
