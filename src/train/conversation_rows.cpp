#include "train/conversation_rows.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "core/error.h"
#include "core/parallel.h"
#include "core/progress.h"

namespace nanochat {
namespace {

using nlohmann::ordered_json;

constexpr int64_t kAhead = 64;  // conversations rendered at once

const char* name_of(ConversationPacking packing) {
  switch (packing) {
    case ConversationPacking::kStream:
      return "stream";
    case ConversationPacking::kRows:
      return "rows";
    case ConversationPacking::kBestFit:
      break;
  }
  return "bestfit";
}

void append(RenderedConversation& to, const RenderedConversation& from) {
  to.ids.insert(to.ids.end(), from.ids.begin(), from.ids.end());
  to.mask.insert(to.mask.end(), from.mask.begin(), from.mask.end());
}

void drop_front(RenderedConversation& of, int64_t n) {
  of.ids.erase(of.ids.begin(), of.ids.begin() + n);
  of.mask.erase(of.mask.begin(), of.mask.begin() + n);
}

}  // namespace

ConversationRows::ConversationRows(const Task& task, const Tokenizer& tokenizer,
                                   const ConversationRowsOptions& options,
                                   const ordered_json& state, const std::string& where)
    : task_(task),
      tokenizer_(tokenizer),
      options_(options),
      size_(task.size()),
      max_tokens_(options.packing == ConversationPacking::kStream
                      ? std::max(options.sequence_len, kDefaultMaxTokens)
                      : options.sequence_len) {
  if (size_ == 0) throw UsageError("{} has no examples: there is nothing to train on", task.name());
  if (options.sequence_len < 2) {
    throw UsageError("a sequence length of {}: a row needs 2 tokens at least",
                     options.sequence_len);
  }
  if (!state.is_null()) restore(state, where);
}

bool ConversationRows::next(RenderedConversation& row) {
  if (options_.packing == ConversationPacking::kStream) return next_of_stream(row);
  if (options_.packing == ConversationPacking::kBestFit) return next_best_fit(row);
  if (at_end()) return false;
  row = take();
  return true;
}

bool ConversationRows::next_of_stream(RenderedConversation& row) {
  const int64_t T = options_.sequence_len;
  while (std::ssize(stream_.ids) < T + 1) {
    if (at_end()) return false;
    append(stream_, take());
  }
  row.ids.assign(stream_.ids.begin(), stream_.ids.begin() + T + 1);
  row.mask.assign(stream_.mask.begin(), stream_.mask.begin() + T + 1);
  drop_front(stream_, T);
  return true;
}

bool ConversationRows::next_best_fit(RenderedConversation& row) {
  row = {};
  int64_t room = options_.sequence_len + 1;
  while (true) {
    while (std::ssize(waiting_) < ConversationRowsOptions::kBuffer && !at_end()) {
      const int64_t number = next_;
      waiting_.push_back({number, take()});
    }
    auto best = waiting_.end();
    int64_t longest = 0;
    for (auto w = waiting_.begin(); w != waiting_.end(); ++w) {
      const int64_t length = std::ssize(w->tokens.ids);
      if (length <= room && length > longest) {
        longest = length;
        best = w;
      }
    }
    if (best == waiting_.end()) return !row.ids.empty();
    append(row, best->tokens);
    room -= longest;
    waiting_.erase(best);
  }
}

RenderedConversation ConversationRows::take() {
  if (ahead_.empty()) render_ahead();
  RenderedConversation result = std::move(ahead_.front().tokens);
  cropped_ += ahead_.front().is_cropped;
  ahead_.pop_front();
  ++next_;
  return result;
}

void ConversationRows::render_ahead() {
  const int64_t left = options_.epochs > 0 ? options_.epochs * size_ - next_ : kAhead;
  const int64_t n = std::min(left, kAhead);
  ahead_.resize(static_cast<size_t>(n));
  std::vector<std::exception_ptr> errors(static_cast<size_t>(n));
  parallel_items(n, [&](int64_t i, int) {
    const auto k = static_cast<size_t>(i);
    try {
      ahead_[k].tokens = render(next_ + i, ahead_[k].is_cropped);
    } catch (...) {
      errors[k] = std::current_exception();
    }
  });
  for (const std::exception_ptr& error : errors) {
    if (!error) continue;
    ahead_.clear();
    std::rethrow_exception(error);
  }
}

RenderedConversation ConversationRows::render(int64_t number, bool& is_cropped) const {
  const int64_t index = number % size_;
  try {
    // One more than is kept tells whether there are more.
    RenderedConversation result =
        render_conversation(tokenizer_, task_.example(index).conversation, max_tokens_ + 1);
    is_cropped = std::ssize(result.ids) > max_tokens_;
    if (is_cropped) {
      result.ids.resize(static_cast<size_t>(max_tokens_));
      result.mask.resize(static_cast<size_t>(max_tokens_));
    }
    if (options_.all_tokens) std::ranges::fill(result.mask, uint8_t{1});
    return result;
  } catch (const DataError& e) {
    throw DataError("{}, example {}: {}", task_.name(), index, e.what());
  }
}

ordered_json ConversationRows::state() const {
  ordered_json state{{"packing", name_of(options_.packing)},
                     {"examples", size_},
                     {"next", next_},
                     {"cropped", cropped_}};
  if (options_.packing == ConversationPacking::kStream) state["left"] = stream_.ids.size();
  if (options_.packing == ConversationPacking::kBestFit) {
    state["waiting"] = ordered_json::array();
    for (const Waiting& w : waiting_) state["waiting"].push_back(w.number);
  }
  return state;
}

void ConversationRows::restore(const ordered_json& state, const std::string& where) {
  try {
    if (state.at("packing") != name_of(options_.packing) || state.at("examples") != size_) {
      throw UsageError(
          "{}: the run was begun with {} conversations (packing {}), there are {} (packing {}): "
          "resume it with the same mixture, or begin another (--run NAME)",
          where, state.at("examples").dump(), state.at("packing").dump(), size_,
          name_of(options_.packing));
    }
    next_ = state.at("next");
    cropped_ = state.at("cropped");
    bool ignored = false;
    // What is left of a stream is the end of the conversation that was taken last.
    if (const int64_t left = state.value("left", int64_t{0}); left > 0) {
      stream_ = render(next_ - 1, ignored);
      if (left > std::ssize(stream_.ids)) {
        throw DataError("{}: {} tokens are left over of a conversation of {}", where, left,
                        stream_.ids.size());
      }
      drop_front(stream_, std::ssize(stream_.ids) - left);
    }
    for (const ordered_json& number : state.value("waiting", ordered_json::array())) {
      waiting_.push_back({number, render(number, ignored)});
    }
  } catch (const nlohmann::json::exception& e) {
    throw DataError("{}: not a place in conversations: {}", where, e.what());
  }
}

int64_t count_rows(const Task& task, const Tokenizer& tokenizer, ConversationRowsOptions options,
                   int64_t epochs) {
  options.epochs = epochs;
  if (options.packing == ConversationPacking::kRows) return epochs * task.size();
  ConversationRows rows(task, tokenizer, options);
  Progress progress({.label = "counting", .unit = "conversations", .total = epochs * task.size()});
  RenderedConversation row;
  int64_t n = 0;
  while (rows.next(row)) {
    ++n;
    progress.update(rows.taken());
  }
  return n;
}

}  // namespace nanochat
