/// Tasks about the letters of words, which tokens hide: counting one, with the tool as a check, and
/// spelling.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "tasks/task_request.h"
#include "tasks/word_list.h"

namespace nanochat {

/// A question with the slots {letter} and {word}, and the language of its answer.
struct SpellingTemplate {
  std::string_view text;
  bool is_chinese = false;
};
/// Ours: English, Chinese, and a few in other languages, which are answered in English.
[[nodiscard]] std::span<const SpellingTemplate> spelling_templates() noexcept;

/// What keeps the test apart from training. Upstream's test example i is its training example
/// i + 1: it seeds with -(i + 1), and Python takes the absolute value.
enum class SpellingSplit : uint8_t {
  kHeldOutWords,  ///< training has no held-out words, tests no others; seeds 10,000,000 and on
  kUpstream,      ///< all words, upstream's seeds: to compare with it
};

struct SpellingOptions {
  std::shared_ptr<const WordList> words;
  bool is_test = false;
  int64_t size = 1000;
  SpellingSplit split = SpellingSplit::kHeldOutWords;
};

/// SpellingBee: how many r are in strawberry? Example i is drawn by Python's generator, seeded with
/// its number, in upstream's order of draws. Right is the number behind "#### ". The words are to
/// be lower-case. Throws UsageError when no word is left for the split.
[[nodiscard]] TaskPtr make_spelling_bee(
    const SpellingOptions& options,
    std::span<const SpellingTemplate> templates = spelling_templates());

/// SimpleSpelling: "Spell the word: apple", answered "apple:a,p,p,l,e". Only for training.
[[nodiscard]] TaskPtr make_simple_spelling(const SpellingOptions& options);

/// For the registry. As many as the request's count; without one, 1000, of SpellingBee's test 256.
[[nodiscard]] TaskPtr make_spelling_bee_task(const TaskRequest& request);
[[nodiscard]] TaskPtr make_simple_spelling_task(const TaskRequest& request);

}  // namespace nanochat
