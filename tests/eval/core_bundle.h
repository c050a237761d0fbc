/// A small folder of CORE tasks, of words of our own.
#pragma once

#include <filesystem>
#include <string>

#include <fmt/format.h>

#include "support/temporary_folder.h"

namespace nanochat::test {

/// Three tasks of `examples` lines each, one of each format, and a fourth whose file is missing.
class CoreBundle {
 public:
  explicit CoreBundle(int examples = 12) {
    folder_.write("core.yaml", R"(icl_tasks:
-
  label: sums
  dataset_uri: numbers/sums.jsonl
  num_fewshot: [2]
  icl_task_type: multiple_choice
  continuation_delimiter: "\nAnswer: " # a comment
- label: pronouns
  dataset_uri: words/pronouns.jsonl
  num_fewshot: [0]
  icl_task_type: schema
- label: rhymes
  dataset_uri: words/rhymes.jsonl
  num_fewshot: [3]
  icl_task_type: language_modeling
- label: lost
  dataset_uri: words/lost.jsonl
  num_fewshot: [0]
  icl_task_type: language_modeling
)");
    folder_.write("eval_meta_data.csv",
                  "Eval Task,Task Category,Random baseline,Description\n"
                  "sums,numbers,25,\"adds, says \"\"so\"\"\nand goes on\"\n"
                  "pronouns,words,50,\n"
                  "rhymes,words,0,\n"
                  "unused,words,9.1,\n"
                  "lost,words,0,\n");
    std::string sums, pronouns, rhymes;
    for (int i = 0; i < examples; ++i) {
      sums += fmt::format(
          R"({{"query": "How much is {} and the {} there?", "choices": ["{}", {}, "many", "none"], "gold": {}}})"
          "\n",
          i, i, 2 * i, i + 1, i % 4);
      pronouns += fmt::format(
          R"({{"context_options": ["The cat {} saw that the cat", "The cat {} saw that the dog"], "continuation": "was in the garden", "gold": {}}})"
          "\n",
          i, i, i % 2);
      rhymes += fmt::format(R"({{"context": " What rhymes with thing {}? ", "continuation": "{}"}})"
                            "\n",
                            i, i % 3 == 0 ? "ring" : "the wing");
    }
    folder_.write("eval_data/numbers/sums.jsonl", sums);
    folder_.write("eval_data/words/pronouns.jsonl", pronouns);
    folder_.write("eval_data/words/rhymes.jsonl", "\n" + rhymes + "  \n");
  }
  [[nodiscard]] const std::filesystem::path& path() const { return folder_.path(); }
  std::string write(std::string_view name, std::string_view text) const {
    return folder_.write(name, text);
  }

 private:
  TemporaryFolder folder_;
};

}  // namespace nanochat::test
