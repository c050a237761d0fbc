#include "tasks/word_list.h"

#include <algorithm>
#include <system_error>

#include "core/error.h"
#include "core/file.h"
#include "core/xxh3.h"
#include "tasks/texts.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxBytes = int64_t{1} << 30;
constexpr uint64_t kHeldOutOneIn = 16;

}  // namespace

WordList split_words(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  WordList words;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    if (const size_t begin = line.find_first_not_of(kSpace); begin != std::string_view::npos) {
      words.emplace_back(line.substr(begin, line.find_last_not_of(kSpace) + 1 - begin));
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

std::shared_ptr<const WordList> load_words(const TaskData& data) {
  std::vector<fs::path> places;
  for (const fs::path& root : data.roots()) {
    places.push_back(root / "words" / "words_alpha.txt");
    places.push_back(root / "words_alpha.txt");
  }
  places.push_back(data.base_dir / "words_alpha.txt");
  for (const fs::path& path : places) {
    if (std::error_code error; !fs::is_regular_file(path, error)) continue;
    WordList words = split_words(read_file(path, kMaxBytes));
    if (words.empty()) {
      throw DataError("{}: no words in it: nanochat data download words fetches it again",
                      path.string());
    }
    return std::make_shared<const WordList>(std::move(words));
  }
  return std::make_shared<const WordList>(split_words(texts::english_words()));
}

bool is_held_out_word(std::string_view word) noexcept { return xxh3_of(word) % kHeldOutOneIn == 0; }

}  // namespace nanochat
