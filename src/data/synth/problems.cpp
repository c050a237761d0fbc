#include "data/synth/problems.h"

namespace nanochat::synth {
namespace {

using Lines = std::string_view[];

constexpr Lines kSums = {"What is {sum}?", "How much is {sum}?", "Calculate {sum}.",
                         "Please work out {sum}."};
constexpr Lines kChineseSums = {"请问{sum}等于多少？", "算一算，{sum}等于几？", "请计算{sum}。",
                                "你知道{sum}是多少吗？"};

constexpr Lines kAdd = {
    "{a} has {n} {x.s}. {b} gives {a.him} {k} more. How many {x.s} does {a} have now?",
    "There are {n} {x.s} on the table and {k} {x.s} on the floor. How many {x.s} are there?",
    "{a} finds {n} {x.s}, and {b} finds {k} {x.s}. How many {x.s} do they have together?",
    "{a} made {n} {x.s} on Monday and {k} {x.s} on Tuesday. How many {x.s} did {a.he} make?",
    "In a shop there are {n} {x.s}. {a} brings {k} new {x.s}. How many {x.s} are in the shop now?",
    "{a} walks {n} steps to the well and {k} steps to the tree. How many steps does {a.he} walk?",
};
constexpr Lines kSubtract = {
    "{a} has {n} {x.s}. {a.He} gives {k} of them to {b}. How many {x.s} are left?",
    "There were {n} {x.s} in the box. {a} took out {k}. How many {x.s} are in the box now?",
    "{a} has {n} {x.s}, and {b} has {k}. How many more {x.s} does {a} have than {b}?",
    "A shop had {n} {x.s} and sold {k} of them. How many {x.s} were not sold?",
    "{a} had {n} coins and paid {k} coins for {x.an}. How many coins does {a.he} have now?",
    "The book of {a} has {n} pages, and {a.he} has read {k}. How many pages are left to read?",
};
constexpr Lines kMultiply = {
    "There are {n} boxes with {k} {x.s} in each box. How many {x.s} are there?",
    "{a} buys {n} bags, and in every bag there are {k} {x.s}. How many {x.s} does {a.he} buy?",
    "One of the {x.s} costs {k} coins. How many coins does {a} need for {n} of them?",
    "{a} makes {k} {x.s} every day. How many {x.s} does {a.he} make in {n} days?",
};

constexpr Lines kChineseAdd = {
    "{a}有{n}{x.m}{x}，{b}又给了{a.he}{k}{x.m}。{a}现在有多少{x.m}{x}？",
    "桌子上有{n}{x.m}{x}，地上有{k}{x.m}{x}。一共有多少{x.m}{x}？",
    "{a}找到了{n}{x.m}{x}，{b}找到了{k}{x.m}。{ab}一共找到多少{x.m}{x}？",
    "{a}星期一做了{n}{x.m}{x}，星期二做了{k}{x.m}。{a.he}一共做了多少{x.m}{x}？",
    "商店里有{n}{x.m}{x}，{a}又送来{k}{x.m}。现在商店里有多少{x.m}{x}？",
    "{a}走到井边要走{n}步，再走到树下要走{k}步。{a.he}一共走多少步？",
};
constexpr Lines kChineseSubtract = {
    "{a}有{n}{x.m}{x}，送给{b}{k}{x.m}。{a}还剩多少{x.m}{x}？",
    "箱子里有{n}{x.m}{x}，{a}拿走了{k}{x.m}。箱子里还有多少{x.m}{x}？",
    "{a}有{n}{x.m}{x}，{b}有{k}{x.m}。{a}比{b}多多少{x.m}？",
    "商店里有{n}{x.m}{x}，卖掉了{k}{x.m}。还有多少{x.m}没有卖掉？",
    "{a}有{n}枚硬币，买{x}用了{k}枚。{a.he}还剩多少枚硬币？",
    "{a}的书有{n}页，{a.he}已经看了{k}页。还有多少页没有看？",
};
constexpr Lines kChineseMultiply = {
    "有{n}个箱子，每个箱子里有{k}{x.m}{x}。一共有多少{x.m}{x}？",
    "{a}买了{n}袋东西，每袋里有{k}{x.m}{x}。{a.he}一共买了多少{x.m}{x}？",
    "一{x.m}{x}要{k}枚硬币，{a}买{n}{x.m}要多少枚硬币？",
    "{a}每天做{k}{x.m}{x}，{n}天一共做多少{x.m}{x}？",
};

constexpr Lines kSpell = {"How do you spell '{w}'?", "Spell the word '{w}'.",
                          "What are the letters of '{w}'?", "Which letters make the word '{w}'?"};
constexpr Lines kFirst = {"What is the first letter of '{w}'?",
                          "With which letter does '{w}' begin?"};
constexpr Lines kLast = {"What is the last letter of '{w}'?", "With which letter does '{w}' end?"};
constexpr Lines kCount = {"How many {l} are in '{w}'?", "Count the letter {l} in '{w}'.",
                          "How often is the letter {l} in '{w}'?",
                          "How many times does {l} come in '{w}'?"};
constexpr Lines kLength = {"How many letters are in '{w}'?", "How long is the word '{w}'?",
                           "Count the letters of '{w}'."};

constexpr Lines kChineseSpell = {"单词“{w}”怎么拼写？", "请拼出单词“{w}”。",
                                 "单词“{w}”由哪些字母组成？", "单词“{w}”有哪些字母？"};
constexpr Lines kChineseFirst = {"单词“{w}”的第一个字母是什么？", "单词“{w}”以什么字母开头？"};
constexpr Lines kChineseLast = {"单词“{w}”的最后一个字母是什么？", "单词“{w}”以什么字母结尾？"};
constexpr Lines kChineseCount = {"单词“{w}”里有几个字母{l}？", "数一数单词“{w}”里的字母{l}。",
                                 "字母{l}在单词“{w}”里出现了几次？"};
constexpr Lines kChineseLength = {"单词“{w}”有几个字母？", "数一数单词“{w}”有多少个字母。",
                                  "单词“{w}”一共有多少个字母？"};

constexpr Lines kCharacterSplit = {"把“{w}”拆成一个一个的字。", "“{w}”是由哪几个字组成的？",
                                   "请一个字一个字地写出“{w}”。", "“{w}”里有哪些字？"};
constexpr Lines kCharacterCount = {"“{w}”里有几个“{l}”字？", "数一数，“{w}”里的“{l}”字有几个？",
                                   "“{l}”字在“{w}”里出现了几次？"};

constexpr LetterQuestions kLetters{kSpell, kFirst, kLast, kCount, kLength};
constexpr LetterQuestions kChineseLetters{kChineseSpell, kChineseFirst, kChineseLast, kChineseCount,
                                          kChineseLength};

}  // namespace

std::span<const std::string_view> sum_questions(Language language) noexcept {
  if (language == Language::kEnglish) return kSums;
  return kChineseSums;
}

std::span<const std::string_view> word_problems(Operation operation, Language language) noexcept {
  const bool is_english = language == Language::kEnglish;
  switch (operation) {
    case Operation::kAdd:
      if (is_english) return kAdd;
      return kChineseAdd;
    case Operation::kSubtract:
      if (is_english) return kSubtract;
      return kChineseSubtract;
    case Operation::kMultiply:
      break;
  }
  if (is_english) return kMultiply;
  return kChineseMultiply;
}

const LetterQuestions& letter_questions(Language language) noexcept {
  return language == Language::kEnglish ? kLetters : kChineseLetters;
}

std::span<const std::string_view> character_split_questions() noexcept { return kCharacterSplit; }
std::span<const std::string_view> character_count_questions() noexcept { return kCharacterCount; }

}  // namespace nanochat::synth
