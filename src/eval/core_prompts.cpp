#include "eval/core_prompts.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "tasks/python_random.h"
#include "tokenizer/utf8.h"

namespace nanochat {
namespace {

constexpr uint64_t kFewshotSeed = 1234;

/// Python's str.isspace() of one character.
bool is_python_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

/// Question and answer, as an example shows them.
std::string render_solved(const CoreTask& task, const CoreExample& example) {
  const auto& [context, options, continuation, gold, place] = example;
  switch (task.format) {
    case CoreFormat::kMultipleChoice:
      return context + task.delimiter + options[static_cast<size_t>(gold)];
    case CoreFormat::kSchema:
      return options[static_cast<size_t>(gold)] + task.delimiter + continuation;
    case CoreFormat::kLanguageModeling:
      return std::string(python_strip(context)) + task.delimiter + continuation;
  }
  return "";
}

int64_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  return std::ranges::mismatch(a, b).in1 - a.begin();
}

int64_t common_suffix(const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
  return std::mismatch(a.rbegin(), a.rend(), b.rbegin(), b.rend()).first - a.rbegin();
}

}  // namespace

std::string_view python_strip(std::string_view text) {
  size_t begin = 0;
  while (begin < text.size()) {
    const utf8::Character c = utf8::decode(text, begin);
    if (!is_python_space(c.code_point)) break;
    begin += c.length;
  }
  size_t end = begin;  // behind the last character that is no space
  for (size_t at = begin; at < text.size();) {
    const utf8::Character c = utf8::decode(text, at);
    at += c.length;
    if (!is_python_space(c.code_point)) end = at;
  }
  return text.substr(begin, end - begin);
}

std::vector<int64_t> pick_fewshot(int64_t index, int64_t n, int64_t num_fewshot) {
  if (num_fewshot == 0) return {};
  if (num_fewshot > n - 1) {
    throw DataError(
        "{} examples are to come before a question, of {} others: take more "
        "(--max-per-task)",
        num_fewshot, n - 1);
  }
  std::vector<int64_t> picks =
      PythonRandom(kFewshotSeed + static_cast<uint64_t>(index)).sample(n - 1, num_fewshot);
  for (int64_t& pick : picks) pick += pick >= index ? 1 : 0;  // all but the question itself
  return picks;
}

std::vector<std::string> render_core_prompts(const CoreTask& task,
                                             std::span<const CoreExample> examples, int64_t index,
                                             std::span<const int64_t> fewshot) {
  std::string prefix;
  for (const int64_t i : fewshot) {
    prefix += render_solved(task, examples[static_cast<size_t>(i)]) + "\n\n";
  }
  const CoreExample& example = examples[static_cast<size_t>(index)];
  std::vector<std::string> prompts;
  switch (task.format) {
    case CoreFormat::kMultipleChoice:
      prefix += example.context + task.delimiter;
      for (const std::string& choice : example.options) prompts.push_back(prefix + choice);
      break;
    case CoreFormat::kSchema:
      for (const std::string& option : example.options) {
        prompts.push_back(prefix + option + task.delimiter + example.continuation);
      }
      break;
    case CoreFormat::kLanguageModeling:
      prefix += std::string(python_strip(example.context)) + task.delimiter;
      prompts.emplace_back(python_strip(prefix));  // else its last token may be a space too many
      prompts.push_back(prefix + example.continuation);
      break;
  }
  return prompts;
}

std::vector<CoreSequence> core_sequences(CoreFormat format,
                                         std::vector<std::vector<int32_t>> tokens,
                                         int64_t max_tokens) {
  int64_t shared = std::ssize(tokens[0]);
  for (const std::vector<int32_t>& other : tokens) {
    shared = std::min(shared, format == CoreFormat::kSchema ? common_suffix(tokens[0], other)
                                                            : common_prefix(tokens[0], other));
  }
  if (format == CoreFormat::kLanguageModeling) {
    tokens.erase(tokens.begin());
    if (shared == std::ssize(tokens[0])) throw DataError("the continuation is empty");
  }
  std::vector<CoreSequence> sequences;
  for (std::vector<int32_t>& ids : tokens) {
    CoreSequence s{.tokens = std::move(ids)};
    s.end = std::ssize(s.tokens);
    s.begin = format == CoreFormat::kSchema ? s.end - shared : shared;
    s.cropped = std::max<int64_t>(0, s.end - max_tokens);
    s.tokens.erase(s.tokens.begin(), s.tokens.begin() + s.cropped);
    s.begin = std::max<int64_t>(s.begin - s.cropped, 1);  // the first token comes after none
    s.end -= s.cropped;
    sequences.push_back(std::move(s));
  }
  return sequences;
}

}  // namespace nanochat
