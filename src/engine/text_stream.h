/// Tokens of one answer as text for a reader, and stop strings in it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace nanochat {

/// Text comes out when its characters are complete and it cannot be the beginning of a stop string
/// any more. Special tokens have no text. What comes out is always valid UTF-8.
class TextStream {
 public:
  /// Empty stop strings are none.
  TextStream(const Tokenizer& tokenizer, std::vector<std::string> stop_strings);

  /// The text that may be shown now. After stopped() nothing more comes.
  [[nodiscard]] std::string push(int32_t id);
  /// The rest, when the answer ends otherwise.
  [[nodiscard]] std::string finish();
  /// A stop string is complete; it and what follows it are not shown.
  [[nodiscard]] bool stopped() const noexcept { return stopped_; }

 private:
  std::string take(std::string_view text);

  const Tokenizer* tokenizer_;
  StreamDecoder decoder_;
  std::vector<std::string> stop_strings_;
  std::string held_;  // may be the beginning of a stop string
  bool stopped_ = false;
};

}  // namespace nanochat
