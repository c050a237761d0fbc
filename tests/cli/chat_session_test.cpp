#include "cli/chat_session.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "core/file.h"
#include "engine/small_model.h"
#include "tokenizer/small_vocabulary.h"

namespace nanochat::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

// Ids of small_vocabulary({"ab"}): the bytes, "ab", then the special tokens.
constexpr int32_t kAb = 256, kAssistantStart = 260, kAssistantEnd = 261, kPythonStart = 262,
                  kPythonEnd = 263, kOutputEnd = 265;

// ---- what is typed -----------------------------------------------------------------------------

TEST(ChatInput, KnowsMessagesFromCommands) {
  const auto parse = [](std::string_view text) { return parse_chat_input(text).value(); };
  EXPECT_EQ(parse("  hi there \n").text, "hi there");
  EXPECT_EQ(parse("/clear").verb, ChatVerb::kClear);
  EXPECT_EQ(parse(" /system  be kind\nand brief ").text, "be kind\nand brief");
  EXPECT_EQ(parse("/temp").text, "");
  EXPECT_EQ(parse("//etc is a folder").text, "/etc is a folder");
  EXPECT_EQ(parse("//etc is a folder").verb, ChatVerb::kMessage);
  EXPECT_EQ(parse("a\xff").text, "a\uFFFD");
  EXPECT_FALSE(parse_chat_input(" \t"));
}

TEST(ChatInput, RefusesCommandsThatItDoesNotUnderstandInOneLine) {
  const auto refuses = [](const char* text, const char* why) {
    EXPECT_THAT([&] { static_cast<void>(parse_chat_input(text)); },
                ThrowsMessage<UsageError>(HasSubstr(why)));
  };
  refuses("/fly", "unknown command /fly");
  refuses("/\x1b[31m", "\\x1b");
  refuses("/Clear", "unknown command");
  refuses("/clear now", "/clear takes nothing");
  refuses("/save", "/save needs a FILE");
}

TEST(ChatInput, HelpNamesEveryCommand) {
  for (const char* name : {"/clear", "/regen", "/system", "/temp", "/save", "/load", "/exit"}) {
    EXPECT_THAT(chat_help(), HasSubstr(name));
  }
}

TEST(ChatInput, JoinsLinesWithABackslashAndBlocks) {
  LineJoiner joiner;
  EXPECT_EQ(joiner.push("one"), "one");
  EXPECT_EQ(joiner.push("two\\"), std::nullopt);
  EXPECT_TRUE(joiner.waiting());
  EXPECT_EQ(joiner.push("\"\"\"\\"), std::nullopt) << "no block begins in the middle of a message";
  EXPECT_EQ(joiner.push("three"), "two\n\"\"\"\nthree");
  EXPECT_EQ(joiner.push(" \"\"\" "), std::nullopt);
  EXPECT_EQ(joiner.push("  def f():\\"), std::nullopt);
  EXPECT_EQ(joiner.push(""), std::nullopt);
  EXPECT_EQ(joiner.push("\"\"\""), "  def f():\\\n");
  EXPECT_FALSE(joiner.waiting());
  EXPECT_EQ(joiner.finish(), std::nullopt);
  EXPECT_EQ(joiner.push("cut\\"), std::nullopt);
  EXPECT_EQ(joiner.finish(), "cut\n");
}

// ---- the conversation --------------------------------------------------------------------------

/// With a model that says what `successor` says; or with random weights.
class Talk {
 public:
  explicit Talk(const std::map<int32_t, int32_t>& successor, EngineOptions options = {.slots = 1},
                ChatSettings settings = {})
      : model_(successor.empty()
                   ? test::random_model(test::small_config(tokenizer_.vocab_size()), cpu_backend())
                   : test::bigram_model(successor, tokenizer_.vocab_size(), cpu_backend())),
        engine_(*model_, &tokenizer_, options),
        session_(engine_, tokenizer_, std::move(settings)) {}

  ChatAnswer say(const std::string& message, const std::function<bool()>& stop = {}) {
    return session_.say(message, listener(), stop);
  }
  ChatAnswer regenerate() { return session_.regenerate(listener()); }
  ChatListener listener() {
    return [this](PartType type, std::string_view text) {
      if (type != heard_type_)
        heard_ += type == PartType::kText ? '.' : type == PartType::kPython ? '[' : '=';
      heard_type_ = type;
      heard_ += text;
    };
  }
  std::string take_heard() { return std::exchange(heard_, ""); }
  ChatSession& session() { return session_; }
  Engine& engine() { return engine_; }

 private:
  const Tokenizer tokenizer_{test::small_vocabulary({"ab"})};
  std::unique_ptr<Gpt> model_;
  Engine engine_;
  ChatSession session_;
  std::string heard_;
  PartType heard_type_ = PartType::kText;
};

const std::map<int32_t, int32_t> kSaysHi{{kAssistantStart, 'H'}, {'H', 'i'}, {'i', kAssistantEnd}};
const std::map<int32_t, int32_t> kNeverEnds{{kAssistantStart, 'x'}, {'x', 'y'}, {'y', 'x'}};

TEST(ChatSession, AnswersAndRemembers) {
  Talk talk(kSaysHi);
  const ChatAnswer first = talk.say("hello");
  EXPECT_EQ(first.text(), "Hi");
  EXPECT_EQ(talk.take_heard(), "Hi");
  EXPECT_EQ(first.finish, FinishReason::kStop);
  EXPECT_EQ(first.tokens, 2);
  EXPECT_GT(first.first_token_s.value(), 0);
  EXPECT_GT(first.process_first_token_s.value(), 0);
  const ChatAnswer second = talk.say("again");
  EXPECT_EQ(talk.session().memory().conversation().messages.size(), 4);
  // bos, user_start, hello, user_end, assistant_start, H, i were in the cache (i: its successor
  // was drawn, so the model has seen it).
  EXPECT_EQ(second.reused_tokens, first.prompt_tokens + 2);
  EXPECT_EQ(second.prompt_tokens, first.prompt_tokens + 2 + 1 + 1 + 5 + 2);
}

TEST(ChatSession, AStopInTheMiddleLeavesWhatWasSaid) {
  Talk talk(kNeverEnds);
  int64_t asked = 0;
  const ChatAnswer answer = talk.say("go", [&] { return ++asked > 5; });
  EXPECT_EQ(answer.finish, FinishReason::kCancelled);
  EXPECT_EQ(answer.text(), "xyxyx");
  EXPECT_EQ(std::get<std::string>(talk.session().memory().conversation().messages[1].content),
            "xyxyx");
  EXPECT_EQ(talk.engine().stats().running, 0);
  EXPECT_EQ(talk.say("on", [] { return true; }).text(), "");
}

TEST(ChatSession, OneSeedAndOneConversationAreOneAnswerAndRegenIsAnother) {
  ChatSettings settings;
  settings.max_tokens = 12;
  settings.sampling = {.temperature = 1.0, .top_k = 0};
  Talk a({}, {.slots = 1}, settings), b({}, {.slots = 1}, settings);
  const std::string first = a.say("hello").text();
  EXPECT_EQ(b.say("hello").text(), first);
  const std::string other = a.regenerate().text();
  EXPECT_NE(other, first);
  EXPECT_EQ(b.regenerate().text(), other);
  EXPECT_EQ(a.session().memory().turns(), 1);
  EXPECT_EQ(a.say("x").text(), b.say("x").text());
  settings.seed = 7;
  Talk c({}, {.slots = 1}, settings);
  EXPECT_NE(c.say("hello").text(), first);
}

TEST(ChatSession, ForgetsTheOldestTurnsWhenTheContextIsFull) {
  ChatSettings settings;
  settings.max_tokens = 8;
  Talk talk(kSaysHi, {.slots = 1, .context = 40}, settings);
  talk.session().memory().set_system("sys");
  int64_t forgotten = 0;
  for (int i = 0; i < 10; ++i) {
    const ChatAnswer answer = talk.say("message");
    forgotten += answer.forgotten_turns;
    EXPECT_EQ(answer.text(), "Hi");
    EXPECT_LE(answer.prompt_tokens, 32);
  }
  EXPECT_GT(forgotten, 5);
  EXPECT_EQ(talk.session().memory().turns() + forgotten, 10);
  EXPECT_EQ(talk.session().memory().system(), "sys");
}

TEST(ChatSession, AMessageThatDoesNotFitIsRefusedAndTheChatGoesOn) {
  Talk talk(kSaysHi, {.slots = 1, .context = 40});
  talk.say("a");
  EXPECT_THAT([&] { talk.say(std::string(36, 'x')); },
              ThrowsMessage<UsageError>(HasSubstr("your message is 40 tokens, the context 40")));
  EXPECT_EQ(talk.session().memory().turns(), 1);
  const ChatAnswer last = talk.say(std::string(35, 'x'));  // room for one token
  EXPECT_EQ(last.text(), "H");
  EXPECT_EQ(last.finish, FinishReason::kContext);
  EXPECT_EQ(last.forgotten_turns, 1);
}

TEST(ChatSession, NoTokensAndNoAnswerAreAnswersToo) {
  ChatSettings settings;
  settings.max_tokens = 0;
  Talk silent(kSaysHi, {.slots = 1}, settings);
  const ChatAnswer none = silent.say("hello");
  EXPECT_EQ(none.finish, FinishReason::kLength);
  EXPECT_EQ(none.tokens, 0);
  EXPECT_FALSE(none.first_token_s);
  EXPECT_TRUE(none.parts.empty());
  Talk short_spoken(std::map<int32_t, int32_t>{{kAssistantStart, kAssistantEnd}});
  EXPECT_EQ(short_spoken.say("hello").finish, FinishReason::kStop);
  EXPECT_EQ(short_spoken.say("more").tokens, 0);
  EXPECT_EQ(short_spoken.session().memory().turns(), 2);
}

TEST(ChatSession, AStopStringIsNoPartOfTheAnswer) {
  ChatSettings settings;
  settings.stop_strings = {"b!"};
  // "ab" is one token, the stop string begins in its middle.
  Talk talk({{kAssistantStart, 'x'}, {'x', kAb}, {kAb, '!'}, {'!', '!'}}, {.slots = 1}, settings);
  const ChatAnswer answer = talk.say("q");
  EXPECT_EQ(answer.finish, FinishReason::kStop);
  EXPECT_EQ(answer.text(), "xa");
  EXPECT_EQ(talk.take_heard(), "xa");
  EXPECT_EQ(answer.tokens, 2);
  EXPECT_EQ(std::get<std::string>(talk.session().memory().conversation().messages[1].content),
            "xa");
}

TEST(ChatSession, ToolCallsAreHeardAsSuchAndRemembered) {
  EngineOptions options{.slots = 1};
  options.tool = [](std::string_view text) { return std::string(text) + "=2"; };
  ChatSettings settings;
  settings.use_tool = true;
  Talk talk({{kAssistantStart, kPythonStart},
             {kPythonStart, '1'},
             {'1', kPythonEnd},
             {kOutputEnd, '!'},
             {'!', kAssistantEnd}},
            options, settings);
  const ChatAnswer answer = talk.say("one");
  EXPECT_EQ(answer.parts, (std::vector<MessagePart>{{PartType::kPython, "1"},
                                                    {PartType::kPythonOutput, "1=2"},
                                                    {PartType::kText, "!"}}));
  EXPECT_EQ(answer.text(), "!");
  EXPECT_EQ(talk.take_heard(), "[1.=1=2.!");
  EXPECT_EQ(talk.say("two").reused_tokens, answer.prompt_tokens + answer.tokens);
}

TEST(ChatSession, WhatAListenerThrowsLeavesTheConversationAsItWas) {
  Talk talk(kNeverEnds);
  const auto fails = [](PartType, std::string_view) { throw IoError("full"); };
  EXPECT_THROW(talk.session().say("a", fails), IoError);
  EXPECT_EQ(talk.session().memory().turns(), 0);
  EXPECT_THROW(talk.session().regenerate(fails), UsageError) << "nothing has been answered";
  talk.say("b", [] { return true; });
  EXPECT_THROW(talk.session().regenerate(fails), IoError);
  EXPECT_FALSE(talk.session().memory().waits());
}

TEST(ChatSession, SavesForTheParserAndLoads) {
  const test::TemporaryFolder folder;
  Talk talk(kSaysHi);
  EXPECT_THROW(talk.session().save(folder / "x.json"), UsageError);
  talk.session().memory().set_system("sys");
  talk.say("\u4f60\u597d");
  talk.session().save(folder / "chat.json");
  const Conversation saved = parse_conversation(read_file(folder / "chat.json", 1 << 20), "x");
  EXPECT_EQ(saved, talk.session().memory().conversation());
  Talk other(kSaysHi);
  other.session().load(folder / "chat.json");
  EXPECT_EQ(other.session().memory().conversation(), saved);
  EXPECT_EQ(other.say("more").text(), "Hi");
  EXPECT_THROW(other.session().load(folder / "none.json"), NotFoundError);
  folder.write("bad.json", "[{\"role\": \"user\", \"content\": \"x\"}]");
  EXPECT_THAT([&] { other.session().load(folder / "bad.json"); },
              ThrowsMessage<DataError>(HasSubstr("bad.json: message 0")));
}

}  // namespace
}  // namespace nanochat::cli
