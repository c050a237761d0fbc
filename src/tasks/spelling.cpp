#include "tasks/spelling.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/error.h"
#include "tasks/final_answer.h"
#include "tasks/python_random.h"
#include "tasks/row_task.h"
#include "tokenizer/utf8.h"

namespace nanochat {
namespace {

constexpr int64_t kFirstTestSeed = 10'000'000;

constexpr SpellingTemplate kTemplates[] = {
    {"How many {letter} are there in {word}"},
    {"How many {letter} can be found in {word}"},
    {"How many {letter} do you find in {word}"},
    {"How many {letter} are written in the word {word}"},
    {"How many letters {letter} does the word {word} contain"},
    {"How many {letter}s are there in {word}"},
    {"How many {letter}'s has {word}"},
    {"How many times does {word} contain {letter}"},
    {"How many times is the letter {letter} used in {word}"},
    {"How many times do you see {letter} in the word {word}"},
    {"How often does {letter} occur in {word}"},
    {"How often is {letter} written in the word {word}"},
    {"Count {letter} in {word}"},
    {"Count every {letter} in {word}"},
    {"Count the letter {letter} in the word {word}"},
    {"Please count how often {letter} comes up in {word}"},
    {"Could you count the {letter} in {word} for me"},
    {"Can you tell how many {letter} {word} has"},
    {"I want to know how many {letter} are in {word}"},
    {"Tell me how often {letter} stands in {word}"},
    {"Tell me the count of {letter} in the word {word}"},
    {"Say how many {letter} you see in {word}"},
    {"What is the number of {letter} in the word {word}"},
    {"What number of {letter} does {word} hold"},
    {"In {word}, how many letters are {letter}"},
    {"In the word {word}, how often is there a {letter}"},
    {"Look at the word {word}: how many {letter} are in it"},
    {"{word}: how many {letter}"},
    {"The word {word} has how many letters {letter}"},
    {"Number of {letter} in the word {word}"},
    {"{word}里有几个字母{letter}", true},
    {"{word}里面一共有多少个{letter}", true},
    {"单词{word}中有几个{letter}", true},
    {"请数一数单词{word}里的字母{letter}", true},
    {"数数{word}里{letter}的个数", true},
    {"字母{letter}在{word}中出现了几次", true},
    {"{letter}在单词{word}里出现多少次", true},
    {"{word}这个单词含有几个{letter}", true},
    {"帮我数一下{word}中有多少{letter}", true},
    {"¿Cuántas letras {letter} hay en la palabra {word}?"},
    {"¿Cuántas {letter} contiene {word}?"},
    {"Cuenta la letra {letter} en {word}"},
    {"Combien de lettres {letter} y a-t-il dans {word}"},
    {"Combien de fois trouve-t-on {letter} dans {word}"},
    {"Wie viele {letter} stecken in {word}"},
    {"Wie oft steht der Buchstabe {letter} in {word}"},
    {"Quante {letter} ci sono in {word}"},
    {"Quantas letras {letter} tem a palavra {word}"},
    {"{word}に{letter}はいくつありますか"},
    {"{word}には{letter}が何回出てきますか"},
    {"{word}에 {letter}이 몇 개 있나요"},
};

/// The sentences around the steps of an answer.
struct Wording {
  std::string_view task, spell, count, sum, check, result;
};
constexpr Wording kEnglish{
    "How many '{letter}' are in '{word}'? I will count by hand first.\n\n",
    "The letters of the word:\n",
    "Going through them in search of '{letter}':\n",
    "\nBy hand I count {count}.",
    "\n\nNow the same in Python, to be sure:\n\n",
    "\n\nPython says {count}.\n\nSo the answer is:\n\n#### {count}",
};
constexpr Wording kChinese{
    "要数出“{word}”里有几个“{letter}”。我先自己数一遍。\n\n",
    "这个单词的字母是：\n",
    "逐个查找“{letter}”：\n",
    "\n我数出来是{count}个。",
    "\n\n再用Python核对一下：\n\n",
    "\n\nPython的结果是{count}。\n\n所以答案是：\n\n#### {count}",
};

std::vector<std::string> characters_of(std::string_view word) {
  std::vector<std::string> characters;
  for (size_t i = 0; i < word.size();) {
    const size_t length = utf8::decode(word, i).length;
    characters.emplace_back(word.substr(i, length));
    i += length;
  }
  return characters;
}

/// "apple:a,p,p,l,e". No space behind the commas: " p" and "p" are different tokens.
std::string spelled(std::string_view word) {
  return fmt::format("{}:{}", word, fmt::join(characters_of(word), ","));
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

std::string filled(std::string_view text, std::string_view letter, std::string_view word,
                   int64_t count = 0) {
  std::string result(text);
  replace_all(result, "{letter}", letter);
  replace_all(result, "{count}", std::to_string(count));
  replace_all(result, "{word}", word);  // last: a word holds no slots, but who knows
  return result;
}

/// ASCII alone: of the templates, no other character that has two cases stands as a capital.
std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

/// Each letter with its number; a hit with the count so far.
std::string counting_steps(std::string_view word, std::string_view letter, int64_t& count) {
  std::string steps;
  int64_t position = 0;
  count = 0;
  for (const std::string& character : characters_of(word)) {
    steps += fmt::format("{}:{}", ++position, character);
    if (character == letter) steps += fmt::format(" hit! count={}", ++count);
    steps += '\n';
  }
  return steps;
}

std::vector<MessagePart> counted_answer(const Wording& say, std::string_view word,
                                        std::string_view letter) {
  int64_t count = 0;
  const std::string steps = counting_steps(word, letter, count);
  const auto text = [&](std::string_view wording) { return filled(wording, letter, word, count); };
  return {
      {PartType::kText, text(say.task) + text(say.spell) + spelled(word) + "\n\n" +
                            text(say.count) + steps + text(say.sum)},
      {PartType::kText, text(say.check)},
      {PartType::kPython, fmt::format("'{}'.count('{}')", word, letter)},
      {PartType::kPythonOutput, std::to_string(count)},
      {PartType::kText, text(say.result)},
  };
}

std::shared_ptr<const WordList> words_of(std::string_view name, const SpellingOptions& options) {
  if (options.split == SpellingSplit::kUpstream) return options.words;
  auto words = std::make_shared<WordList>();
  for (const std::string& word : *options.words) {
    if (is_held_out_word(word) == options.is_test) words->push_back(word);
  }
  if (words->empty()) {
    throw UsageError("{}: of {} words none is left for the split '{}': give a longer list", name,
                     options.words->size(), options.is_test ? "test" : "train");
  }
  return words;
}

class SpellingTask : public Task {
 public:
  std::string name() const override { return name_; }
  int64_t size() const override { return options_.size; }

 protected:
  SpellingTask(std::string name, const SpellingOptions& options)
      : name_(std::move(name)), options_(options), words_(words_of(name_, options)) {}

  const WordList& words() const { return *words_; }
  void shuffle_words() {
    auto shuffled = std::make_shared<WordList>(*words_);
    PythonRandom(42).shuffle(*shuffled);
    words_ = std::move(shuffled);
  }
  PythonRandom random_of(int64_t i) const {
    check_example_index(*this, i);
    if (!options_.is_test) return PythonRandom(static_cast<uint64_t>(i));
    const bool is_upstream = options_.split == SpellingSplit::kUpstream;
    return PythonRandom(static_cast<uint64_t>(is_upstream ? i + 1 : kFirstTestSeed + i));
  }

 private:
  std::string name_;
  SpellingOptions options_;
  std::shared_ptr<const WordList> words_;
};

class SpellingBeeTask final : public SpellingTask {
 public:
  SpellingBeeTask(const SpellingOptions& options, std::span<const SpellingTemplate> templates)
      : SpellingTask("SpellingBee", options), templates_(templates) {}

  /// The order of draws is upstream's.
  TaskExample example(int64_t i) const override {
    PythonRandom random = random_of(i);
    const std::string& word = random.choice(words());
    const std::string letter = random.random() < 0.9
                                   ? random.choice(characters_of(word))
                                   : std::string(1, static_cast<char>('a' + random.below(26)));
    const SpellingTemplate& asked = random.choice(templates_);
    const std::string text =
        random.random() < 0.3 ? lower_case(asked.text) : std::string(asked.text);
    constexpr std::string_view kQuotes[] = {"", "'", "\""};
    const std::string_view letter_quote = random.choice(kQuotes);
    const std::string_view word_quote = random.choice(kQuotes);
    std::string question = filled(text, fmt::format("{0}{1}{0}", letter_quote, letter),
                                  fmt::format("{0}{1}{0}", word_quote, word));
    if (random.random() < 0.5) question += '?';
    return {.conversation = question_and_answer(
                std::move(question),
                counted_answer(asked.is_chinese ? kChinese : kEnglish, word, letter))};
  }
  EvalType eval_type() const override { return EvalType::kGenerative; }
  bool evaluate(int64_t i, std::string_view response) const override {
    return has_same_final_answer(example(i).conversation, response);
  }

 private:
  std::span<const SpellingTemplate> templates_;
};

class SimpleSpellingTask final : public SpellingTask {
 public:
  explicit SimpleSpellingTask(const SpellingOptions& options)
      : SpellingTask("SimpleSpelling", options) {
    shuffle_words();  // so that example i has another word than SpellingBee's
  }

  TaskExample example(int64_t i) const override {
    PythonRandom random = random_of(i);
    const std::string& word = random.choice(words());
    return {.conversation =
                question_and_answer(fmt::format("Spell the word: {}", word), spelled(word))};
  }
};

SpellingOptions options_of(const TaskRequest& request, int64_t test_size) {
  SpellingOptions options{.words = load_words(request.data), .is_test = request.split == "test"};
  options.size = request.count.value_or(options.is_test ? test_size : options.size);
  return options;
}

}  // namespace

std::span<const SpellingTemplate> spelling_templates() noexcept { return kTemplates; }

TaskPtr make_spelling_bee(const SpellingOptions& options,
                          std::span<const SpellingTemplate> templates) {
  return std::make_shared<SpellingBeeTask>(options, templates);
}

TaskPtr make_simple_spelling(const SpellingOptions& options) {
  return std::make_shared<SimpleSpellingTask>(options);
}

TaskPtr make_spelling_bee_task(const TaskRequest& request) {
  return make_spelling_bee(options_of(request, 256));
}

TaskPtr make_simple_spelling_task(const TaskRequest& request) {
  return make_simple_spelling(options_of(request, 1000));
}

}  // namespace nanochat
