#include "tasks/synth_world.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "core/error.h"
#include "core/xxh3.h"
#include "data/synth/conversations.h"
#include "data/synth/questions.h"
#include "data/synth/synth.h"
#include "engine/tools/calculator.h"
#include "tasks/final_answer.h"
#include "tasks/row_task.h"

namespace nanochat {
namespace {

using namespace synth;  // NOLINT: its words are this file's
using nanochat::Message;

constexpr int kEnglishPercent = 58;  // as in the world's texts

/// The tasks in the order of their streams of draws: append, never renumber.
enum class Kind : uint8_t {
  kAll,
  kFacts,
  kArithmetic,
  kProblems,
  kSpelling,
  kCounting,
  kCalculator,
  kChat,
};
constexpr std::array<std::string_view, 8> kNames{
    "World",          "World-Facts",    "World-Arithmetic", "World-Problems",
    "World-Spelling", "World-Counting", "World-Calculator", "World-Chat"};

struct WorldSettings {
  uint64_t seed = 1;
  std::optional<Language> language;
};

WorldSettings find_world(const TaskData& data) {
  for (const auto& root : data.roots()) {
    for (const auto& folder : {root, root / "synth"}) {
      if (const auto options = world_options(folder)) return {options->seed, options->language};
    }
  }
  return {};
}

/// Examples out of one world; each has dice of its own.
class WorldTask : public Task {
 public:
  WorldTask(Kind kind, bool is_test, int64_t size, const WorldSettings& settings)
      : kind_(kind),
        split_(is_test ? Split::kHeldOut : Split::kTrain),
        size_(size),
        language_(settings.language),
        world_(settings.seed),
        questions_(world_) {}
  WorldTask(const WorldTask&) = delete;  // questions_ looks at world_
  WorldTask& operator=(const WorldTask&) = delete;

  std::string name() const override { return std::string(kNames[static_cast<size_t>(kind_)]); }
  int64_t size() const override { return size_; }

 protected:
  Dice dice_of(int64_t i) const {
    check_example_index(*this, i);
    const int64_t stream = static_cast<int64_t>(kind_) * 2 + (split_ == Split::kHeldOut ? 1 : 0);
    return Dice(world_.seed(), Part::kTasks, (stream << 32) + i);
  }
  Language draw_language(Dice& dice) const {
    const bool is_english = dice.chance(kEnglishPercent);  // drawn always: the rest stays alike
    if (language_) return *language_;
    return is_english ? Language::kEnglish : Language::kChinese;
  }
  Kind kind() const { return kind_; }
  Split split() const { return split_; }
  const QuestionMaker& questions() const { return questions_; }

 private:
  Kind kind_;
  Split split_;
  int64_t size_;
  std::optional<Language> language_;
  World world_;
  QuestionMaker questions_;
};

/// The reference answer. What a calculator can do is left to it: a small model learns sooner what
/// to ask than how to work it out, as the world's documents do.
std::variant<std::string, std::vector<MessagePart>> content_of(const Question& q) {
  if (q.python.empty()) return q.response;
  const std::optional<std::string> result = calculate(q.python);
  NC_CHECK(result == q.answer, "{}", q.python);
  const std::string_view space = q.language == Language::kEnglish ? " " : "";
  const std::string_view stop = q.language == Language::kEnglish ? "." : "。";
  const std::string before = q.sum.empty() ? "" : q.sum + " = ";
  const std::string after = q.sum.empty() ? "" : fmt::format("{}{}{}", q.answer, stop, space);
  std::vector<MessagePart> parts;
  if (!before.empty()) parts.push_back({PartType::kText, before});
  parts.push_back({PartType::kPython, q.python});
  parts.push_back({PartType::kPythonOutput, *result});
  parts.push_back({PartType::kText, after + answer_sentence(q.answer, q.language)});
  return parts;
}

class QuestionTask final : public WorldTask {
 public:
  using WorldTask::WorldTask;

  TaskExample example(int64_t i) const override {
    const Question q = question(i);
    return {.conversation = {{{Role::kUser, q.question}, {Role::kAssistant, content_of(q)}}},
            .subject = std::string(synth::name(q.kind))};
  }
  EvalType eval_type() const override { return EvalType::kGenerative; }
  bool evaluate(int64_t i, std::string_view response) const override {
    return is_right(question(i), response);
  }

 private:
  Question question(int64_t i) const {
    Dice dice = dice_of(i);
    const Language language = draw_language(dice);
    return questions().draw(draw_kind(dice), language, split(), dice);
  }
  QuestionKind draw_kind(Dice& dice) const {
    // As in the world's conversations: half about people, of whom there is most to know.
    constexpr int64_t kFactKinds = 5;
    switch (kind()) {
      case Kind::kArithmetic:
        return QuestionKind::kArithmetic;
      case Kind::kProblems:
        return QuestionKind::kWordProblem;
      case Kind::kSpelling:
        return QuestionKind::kSpelling;
      case Kind::kCounting:
        return QuestionKind::kCounting;
      default:
        return dice.chance(40) ? QuestionKind::kPeople
                               : static_cast<QuestionKind>(dice.below(
                                     kind() == Kind::kFacts ? kFactKinds : kQuestionKinds));
    }
  }
};

/// What is asked of the calculator, and how it is written for it.
struct Calculation {
  std::string question, written, python;
};

/// One in eight, whatever is asked around it.
bool is_held_out_calculation(std::string_view python) { return xxh3_of(python) % 8 == 0; }

std::string for_python(std::string_view written) {
  constexpr std::string_view kTimes = "×";
  std::string python;
  while (!written.empty()) {
    const bool is_times = written.starts_with(kTimes);
    if (is_times || written.front() != ' ') python += is_times ? '*' : written.front();
    written.remove_prefix(is_times ? kTimes.size() : 1);
  }
  return python;
}

/// Two or three numbers, larger than the world's sums, with a result that is not negative.
std::string draw_calculation(Dice& dice) {
  const int64_t a = dice.between(11, 999), b = dice.between(11, 999);
  switch (dice.below(4)) {
    case 0:
      return fmt::format("{} + {}", a, b);
    case 1:
      return fmt::format("{} - {}", std::max(a, b), std::min(a, b));
    case 2:
      return fmt::format("{} × {}", dice.between(11, 99), dice.between(3, 12));
    default:
      return fmt::format("{} + {} - {}", a, b, dice.between(1, a + b));
  }
}

/// The tool does the arithmetic; what is to be learnt is to ask it the right thing.
class CalculatorTask final : public WorldTask {
 public:
  using WorldTask::WorldTask;

  TaskExample example(int64_t i) const override {
    Dice dice = dice_of(i);
    const Calculation c = draw(draw_language(dice), dice);
    const std::optional<std::string> result = calculate(c.python);
    NC_CHECK(result.has_value(), "{}", c.python);
    return {.conversation = question_and_answer(
                c.question, {{PartType::kText, c.written + " = "},
                             {PartType::kPython, c.python},
                             {PartType::kPythonOutput, *result},
                             {PartType::kText, fmt::format("{}\n\n#### {}", *result, *result)}})};
  }
  EvalType eval_type() const override { return EvalType::kGenerative; }
  bool evaluate(int64_t i, std::string_view response) const override {
    return has_same_final_answer(example(i).conversation, response);
  }

 private:
  Calculation draw(Language language, Dice& dice) const {
    const bool is_english = language == Language::kEnglish;
    if (dice.chance(40)) {
      const Question q = questions().draw(QuestionKind::kWordProblem, language, split(), dice);
      return {q.question + (is_english ? " Use the calculator." : "请用计算器。"), q.sum, q.python};
    }
    constexpr std::string_view kEnglish[] = {
        "Use the calculator: {}", "What does the calculator say to {}?",
        "Calculate {} with the tool.", "Please put {} into the calculator."};
    constexpr std::string_view kChinese[] = {"请用计算器算：{}", "用工具计算{}。",
                                             "计算器算出来{}等于多少？", "用计算器算一下{}。"};
    const std::string_view asked = is_english ? dice.pick(kEnglish) : dice.pick(kChinese);
    std::string sum, python;
    do {
      sum = draw_calculation(dice);
      python = for_python(sum);
    } while (is_held_out_calculation(python) != (split() == Split::kHeldOut));
    return {fmt::format(fmt::runtime(asked), sum), sum, python};
  }
};

class ChatTask final : public WorldTask {
 public:
  using WorldTask::WorldTask;

  TaskExample example(int64_t i) const override {
    Dice dice = dice_of(i);
    const Language language = draw_language(dice);
    TaskExample example;
    for (auto& m : draw_conversation(questions(), language, split(), dice)) {
      example.conversation.messages.push_back(
          {m.role == "user" ? Role::kUser : Role::kAssistant,
           m.question ? content_of(*m.question) : std::move(m.content)});
    }
    return example;
  }
};

}  // namespace

TaskPtr make_synth_world(const TaskRequest& request) {
  const auto found = std::ranges::find(kNames, request.name);
  NC_CHECK(found != kNames.end(), "{}", request.name);
  const auto kind = static_cast<Kind>(found - kNames.begin());
  const bool is_test = request.split == "test";
  const int64_t size = request.count.value_or(is_test ? 500 : 10'000);
  const WorldSettings settings = find_world(request.data);
  if (kind == Kind::kChat) return std::make_shared<ChatTask>(kind, is_test, size, settings);
  if (kind == Kind::kCalculator) {
    return std::make_shared<CalculatorTask>(kind, is_test, size, settings);
  }
  return std::make_shared<QuestionTask>(kind, is_test, size, settings);
}

}  // namespace nanochat
