#include "data/synth/conversations.h"

#include <utility>

#include "data/synth/text_template.h"

namespace nanochat::synth {
namespace {

using Lines = std::string_view[];

constexpr Lines kHello = {"Hello!", "Hi!", "Hello, how are you?", "Good morning!", "Hi there!"};
constexpr Lines kHelloAnswers = {"Hello! [What would you like to know|How can I help you]?",
                                 "Hi! [Ask me about the people and towns of my small world.|What "
                                 "can I do for you?]"};
constexpr Lines kWho = {"Who are you?", "What is your name?", "What are you?",
                        "Tell me about yourself."};
constexpr Lines kWhoAnswers = {
    "I am nanochat, a small language model. I know the people, towns and animals of a small "
    "world."};
constexpr Lines kCan = {"What can you do?", "How can you help me?", "What do you know?"};
constexpr Lines kCanAnswers = {
    "I can answer questions about my small world, do small sums, spell words and count letters."};
constexpr Lines kThanks = {"Thank you!", "Thanks!", "Thank you, that helps me."};
constexpr Lines kThanksAnswers = {"You are welcome!", "With pleasure!"};
constexpr Lines kBye = {"Goodbye!", "Bye!", "See you tomorrow!"};
constexpr Lines kByeAnswers = {"Goodbye! [Come back soon|Have a nice day]!"};
constexpr Lines kBig = {"Are you a big model?", "How big are you?", "Are you clever?"};
constexpr Lines kBigAnswers = {"I am a very small model. I can make mistakes."};

constexpr Lines kChineseHello = {"你好！", "你好呀！", "早上好！", "你好，在吗？"};
constexpr Lines kChineseHelloAnswers = {"你好！[你想知道什么|有什么可以帮你的]？"};
constexpr Lines kChineseWho = {"你是谁？", "你叫什么名字？", "请介绍一下你自己。"};
constexpr Lines kChineseWhoAnswers = {
    "我是nanochat，一个小小的语言模型。我认识一个小世界里的人、小镇和动物。"};
constexpr Lines kChineseCan = {"你会做什么？", "你能帮我做什么？", "你知道些什么？"};
constexpr Lines kChineseCanAnswers = {"我可以回答小世界里的问题，做简单的算术，拼写单词，数字母。"};
constexpr Lines kChineseThanks = {"谢谢你！", "谢谢！", "多谢，帮了我大忙。"};
constexpr Lines kChineseThanksAnswers = {"不客气！", "很高兴能帮到你！"};
constexpr Lines kChineseBye = {"再见！", "明天见！", "拜拜！"};
constexpr Lines kChineseByeAnswers = {"再见！[欢迎再来|祝你开心]！"};
constexpr Lines kChineseBig = {"你是一个大模型吗？", "你有多大？", "你聪明吗？"};
constexpr Lines kChineseBigAnswers = {"我是一个很小的模型，有时候会出错。"};

constexpr SmallTalk kEnglish[] = {{kHello, kHelloAnswers}, {kWho, kWhoAnswers},
                                  {kCan, kCanAnswers},     {kThanks, kThanksAnswers},
                                  {kBye, kByeAnswers},     {kBig, kBigAnswers}};
constexpr SmallTalk kChinese[] = {
    {kChineseHello, kChineseHelloAnswers}, {kChineseWho, kChineseWhoAnswers},
    {kChineseCan, kChineseCanAnswers},     {kChineseThanks, kChineseThanksAnswers},
    {kChineseBye, kChineseByeAnswers},     {kChineseBig, kChineseBigAnswers}};

}  // namespace

std::span<const SmallTalk> small_talk(Language language) noexcept {
  if (language == Language::kEnglish) return kEnglish;
  return kChinese;
}

std::vector<Message> draw_conversation(const QuestionMaker& questions, Language language,
                                       Split split, Dice& dice) {
  std::vector<Message> messages;
  const int64_t turns = split == Split::kHeldOut ? 1 : dice.between(1, 3);
  for (int64_t i = 0; i < turns; ++i) {
    if (split != Split::kHeldOut && dice.chance(12)) {
      const Scope nobody(questions.world(), language);
      const SmallTalk& talk = dice.pick(small_talk(language));
      messages.push_back({"user", expanded(dice.pick(talk.user), nobody, dice)});
      messages.push_back({"assistant", expanded(dice.pick(talk.assistant), nobody, dice)});
      continue;
    }
    // Half about people: there is most to know of them.
    const auto kind = dice.chance(40) ? QuestionKind::kPeople
                                      : static_cast<QuestionKind>(dice.below(kQuestionKinds));
    Question question = questions.draw(kind, language, split, dice);
    messages.push_back({"user", question.question});
    messages.push_back({"assistant", question.response, std::move(question)});
  }
  return messages;
}

}  // namespace nanochat::synth
