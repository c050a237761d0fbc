/// Rows to train on, out of a task's conversations.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tasks/task.h"
#include "tokenizer/conversation.h"
#include "tokenizer/tokenizer.h"

namespace nanochat {

enum class ConversationPacking : uint8_t {
  /// Classic midtraining's: one stream of tokens, cut into rows of T + 1, the last of which is the
  /// next one's first. (Upstream loses a token a batch there.)
  kStream,
  /// Classic SFT's: one conversation a row.
  kRows,
  /// Modern SFT's: every row begins with a conversation and is filled with the longest of those
  /// that wait and fit, the earliest of these; none is cut. Attention sees the whole row.
  kBestFit,
};

struct ConversationRowsOptions {
  ConversationPacking packing = ConversationPacking::kRows;
  int64_t sequence_len = 1;  ///< T
  bool all_tokens = false;   ///< train on every token, not only on those that the mask has
  int64_t epochs = 0;        ///< times through the task, then next() is false; 0: endless
  static constexpr int64_t kBuffer = 100;  ///< best fit: conversations that wait
};

/// The order is the task's; the task shuffles. Of a conversation the first T tokens are kept (in a
/// stream: 2048 or T, whichever is more), as upstream's rendering does, and cropped() counts; so
/// every conversation finds a place, where upstream waits for one without end.
///
/// Everything is a function of the task, the tokenizer and state(). Rendering is done ahead, on all
/// threads. task and tokenizer outlive the object.
class ConversationRows {
 public:
  /// From the beginning or, with a state() of before, behind the row after which it was asked for.
  /// Throws UsageError for a task without examples or a sequence_len under 2; DataError, beginning
  /// with `where`, when the state is of other data or packing.
  ConversationRows(const Task& task, const Tokenizer& tokenizer,
                   const ConversationRowsOptions& options, const nlohmann::ordered_json& state = {},
                   const std::string& where = {});

  /// The next row, of 2 to T + 1 tokens; false at the end. What does not fill a row of a stream at
  /// its end is left out. Throws DataError for an example that is malformed, naming it.
  [[nodiscard]] bool next(RenderedConversation& row);

  /// {"packing", "examples": of the task, "next": conversations taken, "cropped", and what is left
  /// over: "left": tokens of the last (stream), or "waiting": their numbers (best fit)}.
  [[nodiscard]] nlohmann::ordered_json state() const;
  /// Conversations, of all epochs.
  [[nodiscard]] int64_t taken() const noexcept { return next_; }
  [[nodiscard]] int64_t epoch() const noexcept { return next_ / size_; }
  /// Share of this epoch that has been taken.
  [[nodiscard]] double share() const noexcept {
    return static_cast<double>(next_ % size_) / static_cast<double>(size_);
  }
  [[nodiscard]] int64_t cropped() const noexcept { return cropped_; }

 private:
  struct Waiting {
    int64_t number;  // of the conversation: epoch x size + index
    RenderedConversation tokens;
  };
  [[nodiscard]] bool at_end() const noexcept {
    return options_.epochs > 0 && next_ >= options_.epochs * size_;
  }
  [[nodiscard]] RenderedConversation take();
  void render_ahead();
  [[nodiscard]] RenderedConversation render(int64_t number, bool& is_cropped) const;
  void restore(const nlohmann::ordered_json& state, const std::string& where);
  bool next_of_stream(RenderedConversation& row);
  bool next_best_fit(RenderedConversation& row);

  const Task& task_;
  const Tokenizer& tokenizer_;
  ConversationRowsOptions options_;
  int64_t size_, max_tokens_;
  int64_t next_ = 0, cropped_ = 0;
  struct Ahead {
    RenderedConversation tokens;
    bool is_cropped = false;
  };
  std::deque<Ahead> ahead_;       // conversations next_, next_ + 1, ...
  RenderedConversation stream_;   // left over
  std::vector<Waiting> waiting_;  // in the order in which they came
};

/// Rows of the whole task, `epochs` times through. Renders all of it, which takes a while; says on
/// the console how far it is.
[[nodiscard]] int64_t count_rows(const Task& task, const Tokenizer& tokenizer,
                                 ConversationRowsOptions options, int64_t epochs);

}  // namespace nanochat
