#include "engine/text_stream.h"

#include <algorithm>
#include <utility>

namespace nanochat {

TextStream::TextStream(const Tokenizer& tokenizer, std::vector<std::string> stop_strings)
    : tokenizer_(&tokenizer), decoder_(tokenizer), stop_strings_(std::move(stop_strings)) {
  std::erase(stop_strings_, "");
}

std::string TextStream::push(int32_t id) {
  if (stopped_) return {};
  return take(tokenizer_->is_special(id) ? decoder_.finish() : decoder_.push(id));
}

std::string TextStream::finish() {
  if (stopped_) return {};
  std::string text = take(decoder_.finish());
  if (!stopped_) text += std::exchange(held_, {});
  return text;
}

std::string TextStream::take(std::string_view text) {
  held_ += text;
  size_t first = std::string::npos;
  for (const std::string& stop : stop_strings_) first = std::min(first, held_.find(stop));
  if (first != std::string::npos) {
    stopped_ = true;
    return std::exchange(held_, {}).substr(0, first);
  }
  // The longest end of what is held that begins a stop string.
  size_t keep = 0;
  for (const std::string& stop : stop_strings_) {
    for (size_t n = std::min(stop.size() - 1, held_.size()); n > keep; --n) {
      if (std::string_view(held_).ends_with(std::string_view(stop).substr(0, n))) keep = n;
    }
  }
  std::string ready = held_.substr(0, held_.size() - keep);
  held_.erase(0, ready.size());
  return ready;
}

}  // namespace nanochat
