/// English words for the spelling tasks.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tasks/task_data.h"

namespace nanochat {

using WordList = std::vector<std::string>;

/// words_alpha.txt (370 thousand words, one a line: `nanochat data download words`) if it is below
/// one of the roots or in the base folder, where upstream has it; else our own few thousand, which
/// are part of the program. Throws DataError for a file without words.
[[nodiscard]] std::shared_ptr<const WordList> load_words(const TaskData& data);

/// The lines of a text, trimmed, without empty ones.
[[nodiscard]] WordList split_words(std::string_view text);

/// One word in sixteen, whatever list it is in: training never spells it, tests ask for it.
[[nodiscard]] bool is_held_out_word(std::string_view word) noexcept;

}  // namespace nanochat
