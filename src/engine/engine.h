/// The one way in which this program generates text: chat, samples, evaluation, RL and the server
/// all submit requests here, and one loop serves them together.
///
/// Each running request has a slot of the key/value cache. A step admits waiting requests, takes
/// the tokens that each slot has not seen yet (the next chunk of a prompt; the token just drawn),
/// runs them through the model in one batch, and draws a token for every slot that is up to date.
/// What a slot holds when its request ends stays there: a request whose prompt begins the same way
/// (a chat's next turn, samples of one prompt) starts from it.
///
/// A request's tokens are a function of the request, the model and the backend alone, not of what
/// runs beside it, of how prompts are cut or of what is reused; on the cpu backend with packed
/// weights (GptOptions::packed) that is true to the bit. On a GPU two runs of the same requests are
/// equal, but cuBLAS takes other algorithms for other numbers of rows.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/sampler.h"
#include "engine/tool_state.h"
#include "model/gpt.h"
#include "tokenizer/tokenizer.h"

namespace nanochat {

struct EngineOptions {
  int64_t slots = 16;   ///< requests that run at a time; the others wait
  int64_t context = 0;  ///< tokens of a request, its prompt included; 0: the model's sequence_len
  /// What weights, cache and working memory may take together. Slots become fewer if need be.
  std::optional<int64_t> max_memory_bytes{};
  /// The model's dtype or bf16. None: bf16 where the weights are packed in bf16 or int8.
  std::optional<DType> cache_dtype{};
  int64_t prefill_chunk = 256;  ///< prompt tokens of a step: what running answers wait for
  bool reuse_prefixes = true;
  Tool tool{};                ///< empty: requests cannot use tools
  bool tool_is_slow = false;  ///< run it on a thread of its own, while the others go on
};

/// What an engine needs, in bytes.
struct EngineMemory {
  int64_t weights = 0, cache_per_slot = 0, working = 0;
  int64_t slots = 0, context = 0;
  [[nodiscard]] int64_t total() const noexcept {
    return weights + slots * cache_per_slot + working;
  }
};
[[nodiscard]] DType cache_dtype_of(const Gpt& model, const EngineOptions& options = {});
/// Throws UsageError when not even one slot fits, saying how much is missing and what to lower.
[[nodiscard]] EngineMemory plan_engine_memory(const Gpt& model, const EngineOptions& options);

struct GenerationRequest {
  std::vector<int32_t> prompt{};  ///< at least one token
  int64_t max_tokens = 256;       ///< new ones at most, those that a tool puts in included
  SamplingOptions sampling{};
  uint64_t seed = 42;
  uint32_t sample = 0;  ///< which of several answers to one prompt and seed
  /// These end an answer and are not part of it. Forced ones do not end it.
  std::vector<int32_t> stop_ids{};
  std::vector<std::string> stop_strings{};  ///< likewise, in its text; valid UTF-8
  std::optional<int64_t> top_logprobs{};    ///< 0: of the tokens drawn only
  bool use_tool = false;
};

enum class FinishReason : uint8_t {
  kStop,       ///< a stop token or stop string
  kLength,     ///< max_tokens
  kContext,    ///< the slot is full
  kCancelled,  ///< by cancel()
  kFailed,     ///< the model's numbers are not finite; step() throws NumericError
};
[[nodiscard]] std::string_view name_of(FinishReason reason) noexcept;

/// One new token, or the end.
struct GenerationEvent {
  int32_t id = -1;      ///< -1: none; it only ends
  bool sampled = true;  ///< false: a tool put it there
  std::string text{};   ///< what may be shown now; empty without a tokenizer
  std::optional<float> logprob{};
  std::vector<TokenLogprob> top{};
  std::optional<FinishReason> finish{};
  std::optional<int32_t> stop_id{};  ///< with kStop: the stop token, if it was one
};
/// Called on the thread that calls step(), in the order of tokens; the last event has `finish`. It
/// may submit and cancel. What it throws comes out of step() at its end, and its request is
/// dropped.
using GenerationListener = std::function<void(const GenerationEvent&)>;

using RequestId = uint64_t;

struct EngineStats {
  int64_t waiting = 0, running = 0, free_slots = 0;
  int64_t requests = 0;       ///< ever submitted
  int64_t steps = 0;          ///< forward passes
  int64_t prompt_tokens = 0;  ///< of admitted requests
  int64_t reused_tokens = 0;  ///< of these, found in the cache
  int64_t new_tokens = 0;     ///< sampled and forced
};

class Engine {
 public:
  /// tokenizer: for text, stop strings and tools; null: none of these. model and tokenizer must
  /// outlive the engine. Throws as plan_engine_memory, and OutOfMemoryError.
  Engine(Gpt& model, const Tokenizer* tokenizer, const EngineOptions& options = {});
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// From any thread. Throws UsageError for a request that makes no sense: an empty prompt, one
  /// that leaves no room in the context, ids that are none, options out of range.
  RequestId submit(GenerationRequest request, GenerationListener listener);
  /// From any thread. The request ends with kCancelled at the next step, if it has not ended.
  void cancel(RequestId id);

  /// Admits, runs one batch, tells the listeners. False: there was nothing to do. One thread at a
  /// time. While all running requests wait for a slow tool, it waits too, up to 10 ms.
  bool step();
  /// Steps until nothing is left.
  void run();
  /// Waits until there may be something to do or `seconds` are over. From any thread.
  void wait(double seconds);

  [[nodiscard]] EngineStats stats() const;
  [[nodiscard]] const EngineMemory& memory() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nanochat
