// What clients may send, and what is refused, with the parameter's name.
#include <limits>
#include <string>
#include <variant>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "serve/api_error.h"
#include "serve/json_fields.h"
#include "serve/messages.h"
#include "serve/model_api.h"
#include "serve/openai_request.h"
#include "serve/upstream_api.h"
#include "tokenizer/small_vocabulary.h"
#include "tokenizer/tokenizer.h"

namespace nanochat::serve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const GenerationDefaults kDefaults{.temperature = 0.7, .top_k = 40, .max_tokens = 99};

ChatRequest chat(const std::string& members,
                 const std::string& messages = R"([{"role":"user","content":"Hi"}])") {
  return parse_chat_request(parse_body(fmt::format(R"({{"messages":{}{}{}}})", messages,
                                                   members.empty() ? "" : ",", members)),
                            kDefaults);
}
CompletionRequest completion(const std::string& members) {
  return parse_completion_request(parse_body("{" + members + "}"));
}

/// "param: message" of the refusal.
template <typename Parse>
std::string refusal(const Parse& parse) {
  try {
    static_cast<void>(parse());
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status(), 400);
    EXPECT_THAT(error.what(), HasSubstr(error.param()));
    return error.param();
  }
  return "(accepted)";
}

TEST(Body, ThatIsNoObjectIsRefused) {
  for (const std::string& text :
       {std::string(""), std::string("{"), std::string("[]"), std::string("null"),
        std::string("\"x\""), std::string("{}x"), std::string("{'a':1}"),
        std::string("{\"a\":NaN}"), std::string("{\"a\":\"\xff\"}"),
        std::string("{\"a\":\"\xc3\"}"), std::string(R"({"a":"\ud800"})"),
        std::string("{\"a\":\"\xed\xa0\x80\"}"), std::string("{\"a\":\"\n\"}"),
        std::string("\xef\xbb\xbf[]"), std::string("{}\0x", 4)}) {
    EXPECT_THROW(static_cast<void>(parse_body(text)), ApiError) << text;
  }
  EXPECT_EQ(parse_body(R"({"a":"\u0000😀"})").at("a").get<std::string>().size(), 5U);
}

TEST(Body, ThatIsDeepDoesNotReachTheStack) {
  const auto nested = [](int64_t depth) {
    const auto n = static_cast<size_t>(depth - 1);
    return "{\"a\":" + std::string(n, '[') + std::string(n, ']') + "}";
  };
  EXPECT_NO_THROW(static_cast<void>(parse_body(nested(kMaxJsonDepth))));
  EXPECT_THROW(static_cast<void>(parse_body(nested(kMaxJsonDepth + 1))), ApiError);
  EXPECT_THROW(static_cast<void>(parse_body(nested(1000000))), ApiError);
  EXPECT_EQ(json_depth(R"({"a":"[[[[\"[[["})"), 1) << "brackets in a text";
  EXPECT_EQ(json_depth("]]]]{"), 0) << "more ends than beginnings";
}

TEST(ChatRequest, SaysWhatIsToBeDone) {
  const ChatRequest r = chat(
      R"("model":"m","n":3,"stream":true,"stream_options":{"include_usage":true},"temperature":0.25,)"
      R"("top_p":0.5,"top_k":7,"min_p":0.125,"repetition_penalty":1.5,"seed":-1,"stop":["a","b"],)"
      R"("max_tokens":5,"max_completion_tokens":6,"logprobs":true,"top_logprobs":2,"user":"me")");
  const GenerationParams& p = r.params;
  EXPECT_EQ(p.model, "m");
  EXPECT_EQ(p.n, 3);
  EXPECT_TRUE(p.stream && p.include_usage);
  EXPECT_EQ(p.sampling.temperature, 0.25);
  EXPECT_EQ(p.sampling.top_p, 0.5);
  EXPECT_EQ(p.sampling.top_k, 7);
  EXPECT_EQ(p.sampling.min_p, 0.125);
  EXPECT_EQ(p.sampling.repetition_penalty, 1.5);
  EXPECT_EQ(p.seed, std::numeric_limits<uint64_t>::max());
  EXPECT_THAT(p.stop_strings, ElementsAre("a", "b"));
  EXPECT_EQ(p.max_tokens, 6) << "the new name wins";
  EXPECT_EQ(p.top_logprobs, 2);
}

TEST(ChatRequest, ThatSaysNothingGetsTheServersDefaults) {
  for (const char* const members :
       {"", R"("temperature":null,"top_k":null,"n":null,"stop":null)"}) {
    const GenerationParams p = chat(members).params;
    EXPECT_EQ(p.sampling.temperature, 0.7);
    EXPECT_EQ(p.sampling.top_k, 40);
    EXPECT_EQ(p.sampling.top_p, 1);
    EXPECT_EQ(p.n, 1);
    EXPECT_FALSE(p.model || p.seed || p.max_tokens || p.top_logprobs || p.stream);
  }
}

TEST(ChatRequest, ThatAsksForNothingUnusualInUnusualWordsPasses) {
  for (const char* const members :
       {R"("frequency_penalty":0,"presence_penalty":0.0)", R"("tools":[],"tool_choice":"auto")",
        R"("logit_bias":{})", R"("response_format":{"type":"text"})", R"("modalities":["text"])",
        R"("n":2.0,"max_tokens":1e1)", R"("some_new_thing":[1,2])", R"("top_p":0)", R"("stop":[])",
        R"("stream_options":null,"logprobs":false)", R"("max_tokens":2147483647)"}) {
    EXPECT_NO_THROW(static_cast<void>(chat(members))) << members;
  }
}

TEST(ChatRequest, IsRefusedWithTheParametersName) {
  struct Case {
    const char* members;
    const char* param;
  };
  for (const Case& c : std::vector<Case>{
           {R"("temperature":-0.1)", "temperature"},
           {R"("temperature":2.01)", "temperature"},
           {R"("temperature":"1")", "temperature"},
           {R"("temperature":1e999)", ""},
           {R"("top_p":1.5)", "top_p"},
           {R"("top_k":-1)", "top_k"},
           {R"("top_k":1.5)", "top_k"},
           {R"("min_p":2)", "min_p"},
           {R"("repetition_penalty":0)", "repetition_penalty"},
           {R"("n":0)", "n"},
           {R"("n":129)", "n"},
           {R"("n":18446744073709551616)", "n"},
           {R"("n":true)", "n"},
           {R"("seed":9223372036854775808)", "seed"},
           {R"("seed":0.5)", "seed"},
           {R"("max_tokens":0)", "max_tokens"},
           {R"("max_tokens":2147483648)", "max_tokens"},
           {R"("max_completion_tokens":-5)", "max_completion_tokens"},
           {R"("stop":"")", "stop"},
           {R"("stop":[1])", "stop"},
           {R"("stop":{})", "stop"},
           {R"("stop":["a","b","c","d","e"])", "stop"},
           {R"("stop":["a",""])", "stop[1]"},
           {R"("stream":1)", "stream"},
           {R"("stream_options":[])", "stream_options"},
           {R"("model":5)", "model"},
           {R"("logprobs":1)", "logprobs"},
           {R"("top_logprobs":2)", "top_logprobs"},
           {R"("logprobs":true,"top_logprobs":21)", "top_logprobs"},
           {R"("frequency_penalty":0.5)", "frequency_penalty"},
           {R"("presence_penalty":-1)", "presence_penalty"},
           {R"("logit_bias":{"5":1})", "logit_bias"},
           {R"("tools":[{"type":"function"}])", "tools"},
           {R"("tool_choice":"required")", "tool_choice"},
           {R"("functions":[{}])", "functions"},
           {R"("response_format":{"type":"json_object"})", "response_format"},
           {R"("response_format":"text")", "response_format"},
           {R"("modalities":["text","audio"])", "modalities"},
           {R"("audio":{})", "audio"},
       }) {
    EXPECT_EQ(refusal([&] { return chat(c.members); }), c.param) << c.members;
  }
}

TEST(Messages, AreRefusedWithTheirPlace) {
  struct Case {
    const char* messages;
    const char* param;
  };
  for (const Case& c : std::vector<Case>{
           {"null", "messages"},
           {"[]", "messages"},
           {"{}", "messages"},
           {"\"Hi\"", "messages"},
           {"[5]", "messages[0]"},
           {R"([{"content":"x"}])", "messages[0].role"},
           {R"([{"role":"king","content":"x"}])", "messages[0].role"},
           {R"([{"role":"user","content":"x"},{"role":"tool","content":"x"}])", "messages[1].role"},
           {R"([{"role":"user"}])", "messages[0].content"},
           {R"([{"role":"user","content":null}])", "messages[0].content"},
           {R"([{"role":"user","content":5}])", "messages[0].content"},
           {R"([{"role":"user","content":[5]}])", "messages[0].content[0]"},
           {R"([{"role":"user","content":[{"text":"x"}]}])", "messages[0].content[0].type"},
           {R"([{"role":"user","content":[{"type":"image_url","image_url":{}}]}])",
            "messages[0].content[0].type"},
           {R"([{"role":"user","content":[{"type":"python","text":"1"}]}])",
            "messages[0].content[0].type"},
           {R"([{"role":"user","content":[{"type":"text"}]}])", "messages[0].content[0].text"},
           {R"([{"role":"assistant","content":null,"tool_calls":[{}]}])", "messages[0].tool_calls"},
       }) {
    EXPECT_EQ(refusal([&] { return chat("", c.messages); }), c.param) << c.messages;
  }
}

/// "u:... a:... s:..." of messages as turns.
std::string turns(const std::string& messages) {
  std::string shown;
  for (const Message& m : in_turns(parse_messages(nlohmann::json::parse(messages)))) {
    if (!shown.empty()) shown += '|';
    shown += role_name(m.role)[0];
    shown += ':';
    if (const auto* const text = std::get_if<std::string>(&m.content)) {
      shown += *text;
      continue;
    }
    for (const MessagePart& part : std::get<std::vector<MessagePart>>(m.content)) {
      shown += fmt::format("[{} {}]", static_cast<int>(part.type), part.text);
    }
  }
  return shown;
}

TEST(Messages, BecomeTurnsOfTheChatTemplate) {
  const auto m = [](const char* role, const char* text) {
    return fmt::format(R"({{"role":"{}","content":"{}"}})", role, text);
  };
  const std::string s = m("system", "S"), u = m("user", "U"), a = m("assistant", "A"),
                    v = m("user", "V"), d = m("developer", "D");
  const auto list = [](std::vector<std::string> parts) {
    return fmt::format("[{}]", fmt::join(parts, ","));
  };
  EXPECT_EQ(turns(list({u})), "u:U");
  EXPECT_EQ(turns(list({s, u, a, v})), "s:S|u:U|a:A|u:V");
  EXPECT_EQ(turns(list({s, d, u})), "s:S\n\nD|u:U") << "instructions are joined";
  EXPECT_EQ(turns(list({u, v})), "u:U\n\nV") << "one role in a row is joined";
  EXPECT_EQ(turns(list({u, a, s, v})), "u:U|a:A|u:S\n\nV") << "later instructions";
  EXPECT_EQ(turns(list({u, a, s})), "u:U|a:A|u:S") << "at the end";
  EXPECT_EQ(turns(list({s})), "u:S") << "alone";
  EXPECT_EQ(turns(list({a, u})), "u:|a:A|u:U") << "the assistant begins";
  EXPECT_EQ(turns(list({s, a, u})), "s:S|u:|a:A|u:U");
  EXPECT_EQ(turns(list({u, a, a})), "u:U|a:A\n\nA");
}

TEST(Messages, PartsOfTheAssistantStayAndThoseOfTheUserAreOneText) {
  EXPECT_EQ(turns(R"([{"role":"user","content":[{"type":"text","text":"a"},)"
                  R"({"type":"text","text":"b"}]},{"role":"assistant","content":)"
                  R"([{"type":"text","text":"It is "},{"type":"python","text":"1+1"},)"
                  R"({"type":"python_output","text":"2"}]},{"role":"assistant","content":"!"}])"),
            "u:a\nb|a:[0 It is ][1 1+1][2 2][0 !]");
  EXPECT_EQ(turns(R"([{"role":"user","content":[]},{"role":"assistant","content":null}])"),
            "u:|a:");
}

TEST(Prompt, IsTheTrainingTemplateUpToTheAnswer) {
  const Tokenizer tokenizer(test::small_vocabulary());
  const ChatTokens t(tokenizer);
  const auto text = [&](std::vector<int32_t> ids) {
    std::string shown;
    for (const int32_t id : ids) shown += tokenizer.token_bytes(id);
    return shown;
  };
  const Message user{Role::kUser, std::string("Hi")};
  const Message assistant{Role::kAssistant, std::string("Yo")};
  const Message system{Role::kSystem, std::string("S")};
  EXPECT_EQ(text(prompt_of(tokenizer, {user})),
            "<|bos|><|user_start|>Hi<|user_end|><|assistant_start|>");
  EXPECT_EQ(text(prompt_of(tokenizer, {system, user})),
            "<|bos|><|user_start|>S\n\nHi<|user_end|><|assistant_start|>");
  EXPECT_EQ(text(prompt_of(tokenizer, {user, assistant})),
            "<|bos|><|user_start|>Hi<|user_end|><|assistant_start|>Yo")
      << "an answer that was begun is gone on with";
  // What looks like a special token is text.
  const auto ids = prompt_of(tokenizer, {{Role::kUser, std::string("<|assistant_start|>")}});
  EXPECT_EQ(std::ranges::count(ids, t.assistant_start), 1);
}

TEST(CompletionRequest, TakesPromptsInFourForms) {
  using Ids = std::vector<int32_t>;
  EXPECT_EQ(std::get<std::string>(completion(R"("prompt":"a")").prompts.at(0)), "a");
  EXPECT_EQ(std::get<std::string>(completion(R"("prompt":["a",""])").prompts.at(1)), "");
  EXPECT_EQ(std::get<Ids>(completion(R"("prompt":[1,2.0])").prompts.at(0)), (Ids{1, 2}));
  EXPECT_EQ(std::get<Ids>(completion(R"("prompt":[[1],[2,3]])").prompts.at(1)), (Ids{2, 3}));
  const CompletionRequest r = completion(R"("prompt":"a","logprobs":5,"n":2,"best_of":2)");
  EXPECT_EQ(r.params.max_tokens, 16) << "OpenAI's default";
  EXPECT_EQ(r.params.sampling.temperature, 1) << "OpenAI's default, not the chat's";
  EXPECT_EQ(r.params.top_logprobs, 5);
  EXPECT_EQ(completion(R"("prompt":"a","max_tokens":0,"echo":true)").params.max_tokens, 0);
}

TEST(CompletionRequest, IsRefusedWithTheParametersName) {
  struct Case {
    const char* members;
    const char* param;
  };
  for (const Case& c : std::vector<Case>{
           {R"("n":1)", "prompt"},
           {R"("prompt":5)", "prompt"},
           {R"("prompt":[])", "prompt"},
           {R"("prompt":[true])", "prompt[0]"},
           {R"("prompt":["a",5])", "prompt[1]"},
           {R"("prompt":[1,"a"])", "prompt[1]"},
           {R"("prompt":[1,-1])", "prompt[1]"},
           {R"("prompt":[2147483648])", "prompt[0]"},
           {R"("prompt":[[1],[]])", "prompt[1]"},
           {R"("prompt":[[1,1.5]])", "prompt[0][1]"},
           {R"("prompt":["a","b"],"n":65)", "n"},
           {R"("prompt":"a","best_of":3)", "best_of"},
           {R"("prompt":"a","suffix":"b")", "suffix"},
           {R"("prompt":"a","logprobs":true)", "logprobs"},
           {R"("prompt":"a","echo":true,"logprobs":1)", "echo"},
           {R"("prompt":"a","max_tokens":-1)", "max_tokens"},
       }) {
    EXPECT_EQ(refusal([&] { return completion(c.members); }), c.param) << c.members;
  }
}

TEST(NextRequest, IsCheckedAgainstItself) {
  const auto next = [](const char* body) { return parse_next_request(parse_body(body)); };
  EXPECT_EQ(next(R"({"ids":[1,2,3]})").position, 2);
  EXPECT_EQ(next(R"({"ids":[]})").position, -1);
  EXPECT_EQ(next(R"({"ids":[1],"position":-1,"top":3})").top, 3);
  EXPECT_EQ(refusal([&] { return next(R"({"ids":[1],"position":1})"); }), "position");
  EXPECT_EQ(refusal([&] { return next(R"({"ids":[1],"position":-2})"); }), "position");
  EXPECT_EQ(refusal([&] { return next(R"({"ids":[1],"top":1001})"); }), "top");
  EXPECT_EQ(refusal([&] { return next(R"({"ids":[-1]})"); }), "ids[0]");
  EXPECT_EQ(refusal([&] { return next(R"({"ids":"1"})"); }), "ids");
}

// ---- upstream's words --------------------------------------------------------------------------

std::string upstream(const std::string& body) {
  try {
    static_cast<void>(parse_upstream_request(body, kDefaults));
  } catch (const UpstreamRefusal& refusal) {
    const auto& detail = refusal.detail();
    if (detail.is_string()) {
      EXPECT_EQ(refusal.status(), 400);
      return detail.get<std::string>();
    }
    EXPECT_EQ(refusal.status(), 422);
    return detail.at(0).at("type").get<std::string>() + " " + detail.at(0).at("loc").dump();
  }
  return "(accepted)";
}

TEST(UpstreamRequest, IsRefusedInUpstreamsWordsAndOrder) {
  const std::string hi = R"({"role":"user","content":"Hi"})";
  const auto with = [&](const std::string& members) {
    return fmt::format(R"({{"messages":[{}],{}}})", hi, members);
  };
  const auto of = [](const std::string& message) {
    return fmt::format(R"({{"messages":[{}]}})", message);
  };
  const auto said = [](const std::string& text) {
    return fmt::format(R"({{"role":"user","content":"{}"}})", text);
  };
  EXPECT_EQ(upstream(of(hi)), "(accepted)");
  EXPECT_EQ(upstream(R"({"messages":[]})"), "At least one message is required");
  std::string many = hi;
  for (int i = 0; i < 500; ++i) many += "," + hi;
  EXPECT_EQ(upstream(of(many)), "Too many messages. Maximum 500 messages allowed per request");
  EXPECT_EQ(upstream(of(hi + "," + said(""))), "Message 1 has empty content");
  EXPECT_EQ(upstream(of(said(std::string(8000, 'a')))), "(accepted)");
  EXPECT_EQ(upstream(of(said(std::string(8001, 'a')))),
            "Message 0 is too long. Maximum 8000 characters allowed per message");
  std::string characters;
  for (int i = 0; i < 8000; ++i) characters += "你";
  EXPECT_EQ(upstream(of(said(characters))), "(accepted)") << "characters, not bytes";
  const std::string full = said(std::string(8000, 'a'));
  EXPECT_EQ(upstream(of(full + "," + full + "," + full + "," + full + "," + hi)),
            "Total conversation is too long. Maximum 32000 characters allowed");
  EXPECT_EQ(upstream(of(R"({"role":"system","content":"x"})")),
            "Message 0 has invalid role. Must be 'user', 'assistant', or 'system'");
  EXPECT_EQ(upstream(with(R"("temperature":2.1)")), "Temperature must be between 0.0 and 2.0");
  EXPECT_EQ(upstream(with(R"("top_k":0)")), "top_k must be between 1 and 200");
  EXPECT_EQ(upstream(with(R"("top_k":201)")), "top_k must be between 1 and 200");
  EXPECT_EQ(upstream(with(R"("max_tokens":0)")), "max_tokens must be between 1 and 4096");
  EXPECT_EQ(upstream(with(R"("max_tokens":4097)")), "max_tokens must be between 1 and 4096");
  EXPECT_EQ(upstream(with(R"("temperature":9,"top_k":0)")),
            "Temperature must be between 0.0 and 2.0")
      << "the first of two";
}

TEST(UpstreamRequest, TypesAreThoseOfPydantic) {
  const std::string hi = R"("messages":[{"role":"user","content":"Hi"}])";
  EXPECT_EQ(upstream("{"), R"(json_invalid ["body"])");
  EXPECT_EQ(upstream("[]"), R"(model_attributes_type ["body"])");
  EXPECT_EQ(upstream("{}"), R"(missing ["body","messages"])");
  EXPECT_EQ(upstream(R"({"messages":"x"})"), R"(list_type ["body","messages"])");
  EXPECT_EQ(upstream(R"({"messages":[1]})"), R"(model_attributes_type ["body","messages",0])");
  EXPECT_EQ(upstream(R"({"messages":[{"role":"user"}]})"),
            R"(missing ["body","messages",0,"content"])");
  EXPECT_EQ(upstream(R"({"messages":[{"role":1,"content":"x"}]})"),
            R"(string_type ["body","messages",0,"role"])");
  EXPECT_EQ(upstream("{" + hi + R"(,"temperature":"hot"})"),
            R"(float_parsing ["body","temperature"])");
  EXPECT_EQ(upstream("{" + hi + R"(,"temperature":[]})"), R"(float_type ["body","temperature"])");
  EXPECT_EQ(upstream("{" + hi + R"(,"max_tokens":1.5})"),
            R"(int_from_float ["body","max_tokens"])");
  EXPECT_EQ(upstream("{" + hi + R"(,"max_tokens":"x"})"), R"(int_parsing ["body","max_tokens"])");
  EXPECT_EQ(upstream("{" + hi + R"(,"top_k":{}})"), R"(int_type ["body","top_k"])");
  const UpstreamRequest r = parse_upstream_request(
      "{" + hi + R"(,"temperature":"0.5","max_tokens":"7","top_k":5.0,"more":1})", kDefaults);
  EXPECT_EQ(r.temperature, 0.5) << "numbers are read from texts";
  EXPECT_EQ(r.max_tokens, 7);
  EXPECT_EQ(r.top_k, 5);
  const UpstreamRequest d = parse_upstream_request("{" + hi + R"(,"top_k":null})", kDefaults);
  EXPECT_EQ(d.temperature, 0.7);
  EXPECT_EQ(d.max_tokens, 99);
  EXPECT_EQ(d.top_k, 40);
}

}  // namespace
}  // namespace nanochat::serve
