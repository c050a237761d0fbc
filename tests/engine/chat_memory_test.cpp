#include "engine/chat_memory.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/error.h"
#include "tokenizer/small_vocabulary.h"

namespace nanochat {
namespace {

using Ids = std::vector<int32_t>;

// Ids of small_vocabulary({"ab"}): the bytes, "ab", then the special tokens.
constexpr int32_t kAb = 256, kBos = 257, kUserStart = 258, kUserEnd = 259, kAssistantStart = 260,
                  kAssistantEnd = 261, kPythonStart = 262, kPythonEnd = 263, kOutputStart = 264,
                  kOutputEnd = 265;

class ChatMemoryTest : public ::testing::Test {
 protected:
  void say(const std::string& message, Ids answer) {
    memory_.add_message(message);
    memory_.add_answer(std::move(answer));
  }
  std::string refusal(const Conversation& conversation) {
    try {
      memory_.set_conversation(conversation);
    } catch (const DataError& error) {
      return error.what();
    }
    return "taken";
  }

  const Tokenizer tokenizer_{test::small_vocabulary({"ab"})};
  ChatMemory memory_{tokenizer_};
};

TEST_F(ChatMemoryTest, APromptIsWhatTheTemplateMakesOfTheConversation) {
  memory_.set_system("be kind");
  say("ab", {kAb});
  memory_.add_message("?");
  Conversation conversation = memory_.conversation();
  conversation.messages.push_back({Role::kAssistant, ""});
  EXPECT_EQ(memory_.prompt(), render_for_completion(tokenizer_, conversation));
}

TEST_F(ChatMemoryTest, AnswersStayTheTokensThatWereDrawn) {
  say("x", {'a', 'b'});  // the encoder would say "ab"
  memory_.add_message("y");
  EXPECT_EQ(memory_.prompt(), (Ids{kBos, kUserStart, 'x', kUserEnd, kAssistantStart, 'a', 'b',
                                   kAssistantEnd, kUserStart, 'y', kUserEnd, kAssistantStart}));
}

TEST_F(ChatMemoryTest, TheOldestTurnsGoAndTheSystemTextStays) {
  memory_.set_system("S");
  for (const char* const message : {"1", "2", "3"}) say(message, {'z'});
  memory_.add_message("4");
  const int64_t all = std::ssize(memory_.prompt());  // 3 tokens of system text, 6 of each turn
  EXPECT_EQ(memory_.forget_oldest(all), 0);
  EXPECT_EQ(memory_.forget_oldest(all - 1), 1);
  EXPECT_EQ(memory_.turns(), 3);
  EXPECT_EQ(std::get<std::string>(memory_.conversation().messages[1].content), "2");
  EXPECT_EQ(memory_.prompt().at(2), 'S');
  EXPECT_EQ(memory_.forget_oldest(0), 2) << "the message that waits stays";
  EXPECT_EQ(memory_.prompt(),
            (Ids{kBos, kUserStart, 'S', '\n', '\n', '4', kUserEnd, kAssistantStart}));
  EXPECT_EQ(memory_.tokens_of_last(), 8);
}

TEST_F(ChatMemoryTest, AnAnswerCanBeTakenBack) {
  EXPECT_FALSE(memory_.remove_answer());
  say("x", {'a'});
  EXPECT_TRUE(memory_.remove_answer());
  EXPECT_TRUE(memory_.waits());
  EXPECT_FALSE(memory_.remove_answer());
  memory_.remove_turn();
  EXPECT_EQ(memory_.turns(), 0);
}

TEST_F(ChatMemoryTest, AConversationWithToolCallsComesBackAsItWas) {
  say("x", {'a', kPythonStart, '1', kPythonEnd, kOutputStart, '2', kOutputEnd, 'b'});
  say("empty", {});
  const Conversation said = memory_.conversation();
  EXPECT_EQ(std::get<std::vector<MessagePart>>(said.messages[1].content),
            (std::vector<MessagePart>{{PartType::kText, "a"},
                                      {PartType::kPython, "1"},
                                      {PartType::kPythonOutput, "2"},
                                      {PartType::kText, "b"}}));
  ChatMemory other(tokenizer_);
  other.set_conversation(said);
  EXPECT_EQ(other.conversation(), said);
  memory_.add_message("y");
  other.add_message("y");
  EXPECT_EQ(other.prompt(), memory_.prompt());
}

TEST_F(ChatMemoryTest, PartsOfAnswersThatModelsWriteBadly) {
  const auto parts = [&](const Ids& ids) { return answer_parts(tokenizer_, ids); };
  using Parts = std::vector<MessagePart>;
  EXPECT_EQ(parts({}), Parts{});
  EXPECT_EQ(parts({kUserStart, 'a', kUserEnd}), (Parts{{PartType::kText, "a"}}));
  EXPECT_EQ(parts({kPythonStart, '1'}), (Parts{{PartType::kPython, "1"}}));  // cut off
  EXPECT_EQ(parts({kPythonEnd, 'a', kOutputEnd}), (Parts{{PartType::kText, "a"}}));
  EXPECT_EQ(
      parts({kPythonStart, kPythonStart, '1', kOutputStart}),
      (Parts{{PartType::kPython, ""}, {PartType::kPython, "1"}, {PartType::kPythonOutput, ""}}));
  EXPECT_EQ(parts({0xE4, 'a', 0xFF}), (Parts{{PartType::kText, "\uFFFDa\uFFFD"}}));
}

TEST_F(ChatMemoryTest, ATrackerTellsPartsTokenByToken) {
  const ChatTokens t(tokenizer_);
  PartTracker tracker(t);
  std::string types;  // of each token's text
  for (const int32_t id : std::vector<int32_t>{'a', t.python_start, '1', t.python_end,
                                               t.output_start, '2', t.output_end, 'b'}) {
    types += std::to_string(static_cast<int>(tracker.type()));
    tracker.push(id);
  }
  EXPECT_EQ(types, "00110220") << "a special token comes with the rest of what stood before it";
}

TEST_F(ChatMemoryTest, RefusesConversationsThatItCannotGoOnWith) {
  say("x", {'a'});
  EXPECT_NE(refusal({}).find("message 0"), std::string::npos);
  EXPECT_NE(refusal({{{Role::kUser, "a"}}}).find("the last one is the user's"), std::string::npos);
  EXPECT_NE(refusal({{{Role::kAssistant, "a"}}}).find("expected 'user'"), std::string::npos);
  EXPECT_EQ(memory_.turns(), 1) << "nothing has changed";
  EXPECT_EQ(refusal({{{Role::kSystem, "s"}, {Role::kUser, "a"}, {Role::kAssistant, "b"}}}),
            "taken");
  EXPECT_EQ(memory_.system(), "s");
}

}  // namespace
}  // namespace nanochat
