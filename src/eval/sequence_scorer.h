/// What a model thinks of given texts: logits at chosen positions of many sequences, each beginning
/// computed once.
///
/// The choices of a question share its words and the examples before it; so the sequences are put
/// in order of their tokens, where each shares the most with the one before it, and starts from a
/// copy of that one's keys and values. Nothing is padded, and the head of the model runs on the
/// rows that are asked for alone.
///
/// A model with packed weights gives the same bits whatever the options, the order and the company
/// (see engine/engine.h for why).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "core/arena.h"
#include "model/gpt.h"

namespace nanochat {

struct ScorerOptions {
  int64_t slots = 32;           ///< sequences that are in the cache at a time
  int64_t batch_tokens = 2048;  ///< of a forward pass, at most
  int64_t max_cache_bytes = int64_t{1}
                            << 30;  ///< slots become fewer if need be; one is always made
  bool reuse_prefixes = true;
  /// After each forward pass; what it throws ends the work.
  std::function<void()> on_step{};
};

struct ScoreRequest {
  std::span<const int32_t> tokens;  ///< ids of the model
  int64_t first = 0, end = 0;       ///< logits at these positions, [first, end), are wanted
};

struct ScorerStats {
  int64_t tokens = 0;    ///< asked for: the sum of the sequences' lengths up to `end`
  int64_t computed = 0;  ///< of them, run through the model
  int64_t steps = 0;     ///< forward passes
};

/// Of request number `request`, the logits [vocab_size] that predict the token at position + 1.
/// Called from several threads side by side; must not throw.
using LogitsReader =
    std::function<void(size_t request, int64_t position, std::span<const float> logits)>;

class SequenceScorer {
 public:
  /// The model must outlive it.
  explicit SequenceScorer(Gpt& model, ScorerOptions options = {});

  /// Calls `read` once for every wanted position, in no promised order. A request that wants none
  /// costs nothing. Throws UsageError for a sequence longer than the positions that the model
  /// knows (GptConfig::max_positions), and OutOfMemoryError.
  void run(std::span<const ScoreRequest> requests, const LogitsReader& read);

  [[nodiscard]] const ScorerStats& stats() const noexcept { return stats_; }
  [[nodiscard]] Gpt& model() const noexcept { return model_; }

 private:
  struct Job {
    std::span<const int32_t> tokens;  // up to the last wanted position
    int64_t first = 0;
    size_t request = 0;
    int64_t shared = 0;   // with the job before it: so many tokens are taken from there
    int64_t cached = -1;  // tokens that are in its slot; -1: not begun
    [[nodiscard]] bool done() const { return cached == std::ssize(tokens); }
  };
  struct Wanted {
    size_t request;
    int64_t position, row;  // of the batch
  };
  void plan(std::span<const ScoreRequest> requests);
  void make_room();
  void start_jobs();
  void copy_rows(int64_t from_slot, int64_t to_slot, int64_t begin, int64_t end);
  void step(const LogitsReader& read);
  void read_logits(const Tensor& hidden, std::span<const Wanted> wanted, const LogitsReader& read);
  /// One past the last job that may have a slot now.
  [[nodiscard]] size_t window_end() const;

  Gpt& model_;
  const ScorerOptions options_;
  const DType cache_dtype_;
  Arena arena_;
  Tape tape_;
  std::vector<KvCache> caches_;
  int64_t n_slots_ = 0, capacity_ = 0;
  // In the order of their tokens. Job i lives in slot i mod n_slots; those before oldest_ are done.
  std::vector<Job> jobs_;
  size_t oldest_ = 0;
  TokenRuns runs_;
  ScorerStats stats_;
};

}  // namespace nanochat
