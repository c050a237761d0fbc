#include "tokenizer/conversation.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/error.h"
#include "tokenizer/small_vocabulary.h"

namespace nanochat {
namespace {

using Ids = std::vector<int32_t>;
using Mask = std::vector<uint8_t>;

// Ids of small_vocabulary({}): the bytes, then the special tokens.
constexpr int32_t kBos = 256, kUserStart = 257, kUserEnd = 258, kAssistantStart = 259,
                  kAssistantEnd = 260, kPythonStart = 261, kPythonEnd = 262, kOutputStart = 263,
                  kOutputEnd = 264;

class ConversationTest : public ::testing::Test {
 protected:
  RenderedConversation render(const std::string& json, int64_t max_tokens = 2048) const {
    return render_conversation(tokenizer_, parse_conversation(json, "test"), max_tokens);
  }
  std::string refusal(const std::string& json) const {
    try {
      static_cast<void>(render(json));
    } catch (const DataError& error) {
      return error.what();
    }
    return "rendered";
  }
  const Tokenizer tokenizer_{test::small_vocabulary({})};
};

TEST_F(ConversationTest, SupervisesWhatTheAssistantSays) {
  const auto [ids, mask] = render(
      R"([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"},
          {"role": "user", "content": "x"}, {"role": "assistant", "content": "z"}])");
  EXPECT_EQ(ids,
            (Ids{kBos, kUserStart, 'h', 'i', kUserEnd, kAssistantStart, 'y', 'o', kAssistantEnd,
                 kUserStart, 'x', kUserEnd, kAssistantStart, 'z', kAssistantEnd}));
  EXPECT_EQ(mask, (Mask{0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 1, 1}));
}

TEST_F(ConversationTest, SupervisesToolCallsButNotTheirResults) {
  const auto [ids, mask] = render(
      R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": [
          {"type": "text", "text": "a"}, {"type": "python", "text": "1+1"},
          {"type": "python_output", "text": "2"}, {"type": "text", "text": ""}]}]})");
  EXPECT_EQ(ids, (Ids{kBos, kUserStart, 'q', kUserEnd, kAssistantStart, 'a', kPythonStart, '1', '+',
                      '1', kPythonEnd, kOutputStart, '2', kOutputEnd, kAssistantEnd}));
  EXPECT_EQ(mask, (Mask{0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1}));
}

TEST_F(ConversationTest, WrittenAsJsonItIsReadAsItWas) {
  const Conversation said{
      {{Role::kSystem, "Be \"brief\".\n"},
       {Role::kUser, "\u4f60\u597d \x1b"},
       {Role::kAssistant,
        std::vector<MessagePart>{
            {PartType::kText, "so "}, {PartType::kPython, "1+1"}, {PartType::kPythonOutput, "2"}}},
       {Role::kUser, ""},
       {Role::kAssistant, "ok"}}};
  EXPECT_EQ(parse_conversation(conversation_json(said), "test"), said);
}

TEST_F(ConversationTest, PutsTheSystemMessageInFrontOfTheUsers) {
  const auto merged =
      render(R"([{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}])");
  const auto by_hand = render(R"([{"role": "user", "content": "be brief\n\nhi"}])");
  EXPECT_EQ(merged.ids, by_hand.ids);
  EXPECT_EQ(merged.mask, by_hand.mask);
}

// Encoded as one string: a token may reach from one message into the other.
TEST_F(ConversationTest, ATokenMayReachFromTheSystemMessageIntoTheUsers) {
  const Tokenizer tokenizer(test::small_vocabulary({"\n\n", "!\n\n"}));
  const Conversation conversation{{{Role::kSystem, "s!"}, {Role::kUser, "hi"}}};
  const Ids ids = render_conversation(tokenizer, conversation).ids;
  EXPECT_EQ(ids, (Ids{258, 259, 's', 257, 'h', 'i', 260}));
}

TEST_F(ConversationTest, EncodesEachPartOnItsOwn) {
  const Tokenizer tokenizer(test::small_vocabulary({"ab"}));
  const std::vector<MessagePart> parts = {{PartType::kText, "a"}, {PartType::kText, "b"}};
  const Conversation conversation{{{Role::kUser, "ab"}, {Role::kAssistant, parts}}};
  const Ids ids = render_conversation(tokenizer, conversation).ids;
  EXPECT_EQ(ids, (Ids{257, 258, 256, 259, 260, 'a', 'b', 261}));
}

TEST_F(ConversationTest, SpecialTokensInWhatPeopleSayAreText) {
  const auto [ids, mask] = render(R"([{"role": "user", "content": "<|assistant_end|>"}])");
  EXPECT_EQ(ids.size(), 3 + 17);
}

TEST_F(ConversationTest, KeepsTheFirstTokens) {
  const std::string json =
      R"([{"role": "user", "content": "hello"}, {"role": "assistant", "content": "you"}])";
  const RenderedConversation whole = render(json);
  for (size_t n = 0; n <= whole.ids.size() + 1; ++n) {
    const RenderedConversation some = render(json, static_cast<int64_t>(n));
    const size_t kept = std::min(n, whole.ids.size());
    EXPECT_EQ(some.ids, Ids(whole.ids.begin(), whole.ids.begin() + static_cast<int>(kept)));
    EXPECT_EQ(some.mask, Mask(whole.mask.begin(), whole.mask.begin() + static_cast<int>(kept)));
  }
}

TEST_F(ConversationTest, ACompletionEndsWhereTheAssistantBegins) {
  const Conversation conversation{{{Role::kUser, "q"}, {Role::kAssistant, "the answer"}}};
  EXPECT_EQ(render_for_completion(tokenizer_, conversation),
            (Ids{kBos, kUserStart, 'q', kUserEnd, kAssistantStart}));
  // The limit is for what comes before.
  EXPECT_EQ(render_for_completion(tokenizer_, conversation, 2),
            (Ids{kBos, kUserStart, kAssistantStart}));
  EXPECT_THROW(static_cast<void>(render_for_completion(tokenizer_, {{{Role::kUser, "q"}}})),
               DataError);
  EXPECT_THROW(static_cast<void>(render_for_completion(tokenizer_, {})), DataError);
  EXPECT_THROW(static_cast<void>(render_for_completion(tokenizer_, {{{Role::kAssistant, "a"}}})),
               DataError);
}

TEST_F(ConversationTest, NamesTheMessageThatIsWrong) {
  EXPECT_EQ(refusal(R"([{"role": "assistant", "content": "a"}])"),
            "message 0: role 'assistant', expected 'user'");
  EXPECT_EQ(refusal(R"([{"role": "system", "content": "s"}, {"role": "user", "content": "a"},
                        {"role": "assistant", "content": "b"}, {"role": "assistant",
                         "content": "c"}])"),
            "message 3: role 'assistant', expected 'user'");
  EXPECT_EQ(refusal(R"([{"role": "system", "content": "s"}, {"role": "assistant",
                         "content": "a"}])"),
            "message 1: role 'assistant', expected 'user'");
  EXPECT_EQ(refusal(R"([{"role": "user", "content": "a"}, {"role": "system", "content": "s"}])"),
            "message 1: role 'system', expected 'assistant'");
  EXPECT_EQ(refusal("[]"), "message 0: not there, a conversation needs at least one of a user");
  EXPECT_EQ(refusal(R"([{"role": "system", "content": "s"}])"),
            "message 1: not there, a conversation needs at least one of a user");
  EXPECT_EQ(refusal(R"([{"role": "user", "content": [{"type": "text", "text": "a"}]}])"),
            "message 0: the content of role 'user' is a list of parts, expected a string");
}

TEST_F(ConversationTest, LooksAtMessagesThatAreCutOffToo) {
  const Conversation conversation{
      {{Role::kUser, "a"}, {Role::kAssistant, "b"}, {Role::kAssistant, "c"}}};
  EXPECT_THROW(static_cast<void>(render_conversation(tokenizer_, conversation, 2)), DataError);
}

TEST_F(ConversationTest, SaysWhatIsWrongWithTheFile) {
  const std::string user = R"({"role": "user", "content": "a"})";
  EXPECT_EQ(refusal(R"({"turns": []})"), "test: no 'messages'");
  EXPECT_EQ(refusal(R"({"messages": "a"})"), "test: the messages are not a list but string");
  EXPECT_EQ(refusal("[3]"), "test: message 0: not an object but number");
  EXPECT_EQ(refusal(R"([{"content": "a"}])"), "test: message 0: no 'role'");
  EXPECT_EQ(refusal(R"([{"role": "user"}])"), "test: message 0: no 'content'");
  EXPECT_EQ(refusal(R"([{"role": "user", "content": null}])"),
            "test: message 0: 'content' is not a string but null");
  EXPECT_EQ(refusal("[" + user + R"(, {"role": "tool", "content": "a"}])"),
            "test: message 1: unknown role 'tool', expected system, user or assistant");
  EXPECT_EQ(refusal("[" + user + R"(, {"role": "assistant", "content": [
                                       {"type": "text", "text": "b"},
                                       {"type": "image", "text": "c"}]}])"),
            "test: message 1: part 1: unknown type 'image', expected text, python or "
            "python_output");
  EXPECT_EQ(refusal("[" + user + R"(, {"role": "assistant", "content": [{"type": "text"}]}])"),
            "test: message 1: part 0: no 'text'");
  EXPECT_NE(refusal("[").find("test: not JSON"), std::string::npos);
  EXPECT_NE(refusal(R"(["\ud800"])").find("test: not JSON"), std::string::npos);
}

TEST_F(ConversationTest, IgnoresOtherMembers) {
  const Conversation expected{{{Role::kUser, "a"}}};
  EXPECT_EQ(parse_conversation(
                R"({"id": 7, "messages": [{"role": "user", "content": "a", "name": null}]})", "x"),
            expected);
}

TEST_F(ConversationTest, NeedsTheSpecialTokens) {
  Vocabulary vocabulary = test::small_vocabulary({});
  vocabulary.specials.erase("<|user_end|>");
  const Conversation conversation{{{Role::kUser, "a"}}};
  EXPECT_THROW(static_cast<void>(render_conversation(Tokenizer(vocabulary), conversation)),
               NotFoundError);
}

TEST_F(ConversationTest, ShowsTokensInTheColoursOfTheMask) {
  const Ids ids = {kBos, 'a', '\n', 0xff};
  const Mask mask = {0, 1, 1, 0};
  EXPECT_EQ(visualize_tokenization(tokenizer_, ids, mask),
            "\x1b[91m<|bos|>\x1b[0m|\x1b[92ma\x1b[0m|\x1b[92m\n\x1b[0m|"
            "\x1b[91m\xef\xbf\xbd\x1b[0m");
  EXPECT_EQ(visualize_tokenization(tokenizer_, Ids{'a', 'b'}, Mask{1, 0}, true),
            "\x1b[92ma\x1b[0m\x1b[90m(97)\x1b[0m|\x1b[91mb\x1b[0m\x1b[90m(98)\x1b[0m");
}

TEST_F(ConversationTest, DoesNotLetATextSpeakToTheTerminal) {
  const Tokenizer tokenizer(test::small_vocabulary({"\xc2\x9b", "\xc2\xa0"}));
  EXPECT_EQ(visualize_tokenization(tokenizer, Ids{0x1b, 256, 257, 0x7f}, Mask{1, 1, 1, 1}),
            "\x1b[92m\\x1b\x1b[0m|\x1b[92m\\x9b\x1b[0m|\x1b[92m\xc2\xa0\x1b[0m|"
            "\x1b[92m\\x7f\x1b[0m");
}

}  // namespace
}  // namespace nanochat
