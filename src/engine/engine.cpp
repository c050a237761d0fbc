#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <future>
#include <mutex>
#include <utility>

#include "core/arena.h"
#include "core/error.h"
#include "core/parallel.h"
#include "core/progress.h"
#include "engine/text_stream.h"
#include "tokenizer/utf8.h"

namespace nanochat {
namespace {

struct Pending {
  RequestId id;
  GenerationRequest request;
  GenerationListener listener;
};

/// A request that has a slot.
struct Running {
  RequestId id;
  GenerationRequest request;
  GenerationListener listener;
  RandomStream random;
  std::optional<TextStream> text;
  ToolState tool_state;
  std::future<std::optional<std::string>> tool_result;  // of a slow tool
  int64_t n_new = 0;
};

struct Slot {
  std::vector<int32_t> tokens;  // of the sequence: the prompt, then what came
  int64_t cached = 0;           // so many of them are in the cache
  uint64_t last_used = 0;
  std::unique_ptr<Running> running;  // null: free

  [[nodiscard]] int64_t pending() const { return std::ssize(tokens) - cached; }
};

int64_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  return std::ranges::mismatch(a, b).in1 - a.begin();
}

}  // namespace

std::string_view name_of(FinishReason reason) noexcept {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kContext:
      return "context";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kFailed:
      return "failed";
  }
  return "?";
}

DType cache_dtype_of(const Gpt& model, const EngineOptions& options) {
  if (options.cache_dtype) return *options.cache_dtype;
  const std::optional<WeightFormat> packed = model.options().packed;
  return packed && *packed != WeightFormat::kF32 ? DType::kBf16 : model.options().dtype;
}

EngineMemory plan_engine_memory(const Gpt& model, const EngineOptions& options) {
  const GptConfig& config = model.config();
  if (options.slots < 1) throw UsageError("slots {}: expected 1 or more", options.slots);
  if (options.prefill_chunk < 1) {
    throw UsageError("prefill chunk {}: expected 1 token or more", options.prefill_chunk);
  }
  EngineMemory memory;
  memory.context = options.context > 0 ? options.context : config.sequence_len;
  if (memory.context > config.max_positions()) {
    throw UsageError("a context of {} tokens: this model knows {} positions (--context)",
                     memory.context, config.max_positions());
  }
  memory.weights = model.weight_bytes();
  const int64_t longest_run = std::min(options.prefill_chunk, memory.context);
  const int64_t element = size_of(cache_dtype_of(model, options));
  memory.cache_per_slot = 2 * config.n_layer * model.cache_rows(memory.context, longest_run) *
                          config.n_kv_head * config.head_dim() * element;
  // Of a step, at most: the widest activations of a block (qkv, the norm, 4 C; twice for the
  // packed input) in its rows, and logits with what sampling copies of them.
  const auto working = [&](int64_t slots) {
    return (options.prefill_chunk + slots) * config.n_embd * 16 * 4 +
           slots * config.vocab_size * 4 * 3;
  };
  memory.slots = options.slots;
  memory.working = working(memory.slots);
  if (!options.max_memory_bytes) return memory;
  while (memory.slots > 0 && memory.total() > *options.max_memory_bytes) {
    memory.working = working(--memory.slots);
  }
  if (memory.slots == 0) {
    throw UsageError(
        "{} are not enough: the weights take {}, one conversation of {} tokens {}, a step {} "
        "(raise --max-memory, lower --context, or --quantize int8)",
        binary_size(static_cast<double>(*options.max_memory_bytes)),
        binary_size(static_cast<double>(memory.weights)), memory.context,
        binary_size(static_cast<double>(memory.cache_per_slot)),
        binary_size(static_cast<double>(working(1))));
  }
  return memory;
}

struct Engine::Impl {
  Impl(Gpt& model_, const Tokenizer* tokenizer_, const EngineOptions& options_)
      : model(model_),
        tokenizer(tokenizer_),
        options(options_),
        memory(plan_engine_memory(model_, options_)),
        tape(model_.backend(), arena) {
    if (options.tool) {
      if (!tokenizer) throw UsageError("tools need a tokenizer");
      tool_tokens.emplace(*tokenizer);
    }
    longest_run = std::min(options.prefill_chunk, memory.context);
    caches = model.make_caches(memory.slots, memory.context, cache_dtype_of(model, options),
                               longest_run);
    rows_per_slot = caches.front().k.dim(1);
    slots.resize(static_cast<size_t>(memory.slots));
  }

  void check(const GenerationRequest& request) const;
  bool step();

  void take_commands();
  void cancel_now(RequestId id);
  void admit();
  void admit_one(Pending& pending, Slot& best);
  [[nodiscard]] int64_t reusable(const Slot& from, std::span<const int32_t> prompt) const;
  void copy_slot(const Slot& from, Slot& to);
  void collect_tool_results();
  void run_batch();
  void draw(std::span<Slot* const> due, const Tensor& logits);
  void accept(Slot& slot, int32_t id, std::span<const float> logits);
  /// False: the request ended with it.
  bool add_token(Slot& slot, int32_t id, bool sampled, GenerationEvent event);
  void use_tool(Slot& slot, std::string block);
  void force(Slot& slot, const std::optional<std::string>& result);
  void finish(Slot& slot, FinishReason reason, GenerationEvent event = {});
  /// False: the listener threw.
  bool tell(const GenerationListener& listener, const GenerationEvent& event);
  [[nodiscard]] int64_t slot_index(const Slot& slot) const { return &slot - slots.data(); }

  // What other threads touch. First, so that it is there until the last tool has come back.
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::vector<Pending> submitted;
  std::vector<RequestId> cancelled;
  RequestId next_id = 1;
  EngineStats stats;

  Gpt& model;
  const Tokenizer* tokenizer;
  const EngineOptions options;
  const EngineMemory memory;
  std::optional<ToolTokens> tool_tokens;
  Arena arena{model.backend().reserve_addresses()};
  Tape tape;
  int64_t longest_run = 0, rows_per_slot = 0;
  std::vector<KvCache> caches;
  std::vector<Slot> slots;
  std::deque<Pending> queue;  // of the stepping thread
  uint64_t clock = 0;
  TokenRuns runs;
  std::exception_ptr thrown;                                       // by a listener, in this step
  std::vector<std::future<std::optional<std::string>>> abandoned;  // tools of cancelled requests
};

// ---- requests ----------------------------------------------------------------------------------

void Engine::Impl::check(const GenerationRequest& request) const {
  const int64_t length = std::ssize(request.prompt);
  if (length == 0) throw UsageError("the prompt has no tokens: it needs one at least");
  if (length >= memory.context) {
    throw UsageError("a prompt of {} tokens leaves no room in a context of {}: shorten it", length,
                     memory.context);
  }
  for (const int32_t id : request.prompt) {
    if (id < 0 || id >= model.config().vocab_size) {
      throw UsageError("the prompt holds token {}, the model knows {}: was another tokenizer used?",
                       id, model.config().vocab_size);
    }
  }
  if (request.max_tokens < 0) {
    throw UsageError("max tokens {}: expected 0 or more", request.max_tokens);
  }
  request.sampling.validate();
  if (request.top_logprobs &&
      (*request.top_logprobs < 0 || *request.top_logprobs > model.config().vocab_size)) {
    throw UsageError("{} log-probabilities: expected 0 to {}", *request.top_logprobs,
                     model.config().vocab_size);
  }
  if (!request.stop_strings.empty() && !tokenizer)
    throw UsageError("stop strings need a tokenizer");
  for (const std::string& stop : request.stop_strings) {
    if (utf8::find_invalid(stop) != stop.size())
      throw UsageError("a stop string is not valid UTF-8");
  }
  if (request.use_tool && !options.tool) throw UsageError("this engine has no tool");
}

void Engine::Impl::take_commands() {
  std::vector<Pending> fresh;
  std::vector<RequestId> dead;
  {
    const std::lock_guard lock(mutex);
    fresh.swap(submitted);
    dead.swap(cancelled);
  }
  for (Pending& p : fresh) queue.push_back(std::move(p));
  for (const RequestId id : dead) cancel_now(id);
}

void Engine::Impl::cancel_now(RequestId id) {
  for (Slot& slot : slots) {
    if (slot.running && slot.running->id == id) return finish(slot, FinishReason::kCancelled);
  }
  const auto waiting = std::ranges::find(queue, id, &Pending::id);
  if (waiting == queue.end()) return;
  const GenerationListener listener = std::move(waiting->listener);
  queue.erase(waiting);
  tell(listener, {.finish = FinishReason::kCancelled});
}

// ---- slots -------------------------------------------------------------------------------------

/// Tokens of `prompt` whose keys and values `from` holds. The last one is always computed: its
/// logits are wanted.
int64_t Engine::Impl::reusable(const Slot& from, std::span<const int32_t> prompt) const {
  if (!options.reuse_prefixes) return 0;
  const auto cached = std::span(from.tokens).first(static_cast<size_t>(from.cached));
  const int64_t n = std::min(common_prefix(cached, prompt), std::ssize(prompt) - 1);
  // A ring has forgotten what lies further back, and whole blocks are read.
  const int64_t forgotten = std::max<int64_t>(0, from.cached - rows_per_slot);
  const int64_t window = model.config().window;
  if (forgotten > 0 && forgotten > n - window - kCacheMultiple) return 0;
  return n;
}

void Engine::Impl::copy_slot(const Slot& from, Slot& to) {
  const int64_t source = slot_index(from) * rows_per_slot, target = slot_index(to) * rows_per_slot;
  const int64_t n = std::min(from.cached, rows_per_slot);
  for (KvCache& cache : caches) {
    for (Tensor* const x : {&cache.k, &cache.v}) {
      const Tensor rows = x->view({x->dim(0) * x->dim(1), x->dim(2)});
      Tensor copy = rows.rows(target, target + n);
      model.backend().copy(rows.rows(source, source + n), copy);
    }
  }
}

/// First come, first served; but a request that shares a prompt with one that is being read waits
/// for it instead of reading the same again, and lets others pass.
void Engine::Impl::admit() {
  for (size_t i = 0; i < queue.size();) {
    if (std::ranges::none_of(slots, [](const Slot& s) { return !s.running; })) return;
    const std::span<const int32_t> prompt = queue[i].request.prompt;
    Slot* best = nullptr;  // whence to start
    int64_t now = -1, later = 0;
    for (Slot& slot : slots) {
      const int64_t n = reusable(slot, prompt);
      // Of equals a free one: then nothing is copied.
      if (n > now || (n == now && best->running && !slot.running)) {
        best = &slot;
        now = n;
      }
      if (options.reuse_prefixes && slot.running && slot.cached < std::ssize(slot.tokens)) {
        later =
            std::max(later, std::min(common_prefix(slot.tokens, prompt), std::ssize(prompt) - 1));
      }
    }
    if (later >= now + kCacheMultiple) {
      ++i;
      continue;
    }
    Pending pending = std::move(queue[i]);
    queue.erase(queue.begin() + static_cast<std::ptrdiff_t>(i));
    admit_one(pending, *best);
  }
}

void Engine::Impl::admit_one(Pending& pending, Slot& best) {
  GenerationRequest& request = pending.request;
  if (request.max_tokens == 0) {
    tell(pending.listener, {.finish = FinishReason::kLength});
    return;
  }
  const int64_t n = reusable(best, request.prompt);
  Slot* slot = &best;
  if (best.running || n == 0) {
    slot = nullptr;
    for (Slot& s : slots) {  // the one that was left alone for longest
      if (!s.running && (!slot || s.last_used < slot->last_used)) slot = &s;
    }
    if (n > 0) copy_slot(best, *slot);
  }
  slot->tokens = request.prompt;
  slot->cached = n;
  slot->last_used = ++clock;
  const RandomStream random(request.seed, RandomPurpose::kSample, 0, request.sample);
  auto running = std::make_unique<Running>(Running{.id = pending.id,
                                                   .request = std::move(request),
                                                   .listener = std::move(pending.listener),
                                                   .random = random,
                                                   .text = {},
                                                   .tool_state = {},
                                                   .tool_result = {}});
  if (tokenizer) running->text.emplace(*tokenizer, running->request.stop_strings);
  slot->running = std::move(running);
  const std::lock_guard lock(mutex);
  stats.prompt_tokens += std::ssize(slot->tokens);
  stats.reused_tokens += n;
}

// ---- one step ----------------------------------------------------------------------------------

bool Engine::Impl::step() {
  take_commands();
  collect_tool_results();
  admit();
  const bool any = std::ranges::any_of(slots, [](const Slot& s) { return s.running != nullptr; });
  if (any) run_batch();
  const std::lock_guard lock(mutex);
  if (thrown) std::rethrow_exception(std::exchange(thrown, nullptr));
  stats.waiting = std::ssize(queue) + std::ssize(submitted);
  stats.running = std::ranges::count_if(slots, [](const Slot& s) { return s.running != nullptr; });
  stats.free_slots = std::ssize(slots) - stats.running;
  return any || !queue.empty() || !submitted.empty() || !cancelled.empty();
}

void Engine::Impl::run_batch() {
  const RecordingScope off(tape, false);
  // What each slot has not seen yet. Prompts share the budget, the oldest first.
  std::vector<Slot*> order;
  for (Slot& slot : slots) {
    // Behind the end of a tool's block nothing may be drawn before its result is there.
    if (slot.running && !slot.running->tool_result.valid()) order.push_back(&slot);
  }
  std::ranges::sort(order, {}, [](const Slot* s) { return s->last_used; });
  int64_t budget = longest_run;
  std::vector<Run> batch;
  std::vector<int32_t> ids;
  std::vector<Slot*> due;        // they will have seen everything: a token is to be drawn
  std::vector<int64_t> due_row;  // from this row of the batch
  for (Slot* const slot : order) {
    int64_t n = slot->pending();
    if (n > 1) {
      n = std::min(n, std::max<int64_t>(budget, 0));
      budget -= n;
      if (n == 0) continue;
    }
    batch.push_back({.row_begin = static_cast<int32_t>(ids.size()),
                     .length = static_cast<int32_t>(n),
                     .position = static_cast<int32_t>(slot->cached),
                     .slot = static_cast<int32_t>(slot_index(*slot))});
    const auto first = slot->tokens.begin() + slot->cached;
    ids.insert(ids.end(), first, first + n);
    if (n == slot->pending()) {
      due.push_back(slot);
      due_row.push_back(std::ssize(ids) - 1);
    }
    slot->cached += n;
  }
  if (batch.empty()) {  // all wait for their tools
    std::unique_lock lock(mutex);
    changed.wait_for(lock, std::chrono::milliseconds(10));
    return;
  }
  runs.assign(batch, std::ssize(ids));
  const Tensor id_tensor = tensor_of(std::span<const int32_t>(ids), {std::ssize(ids)});
  const Var hidden = model.forward(tape, id_tensor, runs, caches);
  {
    const std::lock_guard lock(mutex);
    ++stats.steps;
  }
  if (due.empty()) return model.backend().synchronize();
  Tensor last = tape.empty({std::ssize(due), hidden.value.dim(1)}, hidden.value.dtype());
  for (size_t i = 0; i < due.size(); ++i) {
    Tensor row = last.rows(static_cast<int64_t>(i), static_cast<int64_t>(i) + 1);
    model.backend().copy(hidden.value.rows(due_row[i], due_row[i] + 1), row);
  }
  const Tensor logits = model.logits(tape, last);
  if (logits.device().kind == DeviceKind::kCpu) {
    model.backend().synchronize();
    return draw(due, logits);
  }
  Tensor on_host(logits.shape(), logits.dtype());
  model.backend().copy(logits, on_host);
  model.backend().synchronize();
  draw(due, on_host);
}

void Engine::Impl::draw(std::span<Slot* const> due, const Tensor& logits) {
  const int64_t V = logits.dim(1);
  const auto row = [&](int64_t i) {
    return logits.span<float>().subspan(static_cast<size_t>(i * V), static_cast<size_t>(V));
  };
  std::vector<int32_t> drawn(due.size());
  std::exception_ptr error;
  std::mutex error_mutex;
  parallel_items(std::ssize(due), [&](int64_t i, int) {
    try {
      const Slot& slot = *due[static_cast<size_t>(i)];
      drawn[static_cast<size_t>(i)] = sample_next_token(
          row(i), slot.running->request.sampling, slot.running->random, slot.cached, slot.tokens);
    } catch (...) {
      const std::lock_guard lock(error_mutex);
      error = std::current_exception();
    }
  });
  if (error) {  // numbers that are not finite: nothing that comes from this batch is worth telling
    for (Slot* const slot : due) finish(*slot, FinishReason::kFailed);
    std::rethrow_exception(error);
  }
  for (size_t i = 0; i < due.size(); ++i) {
    accept(*due[i], drawn[i], row(static_cast<int64_t>(i)));
  }
}

void Engine::Impl::accept(Slot& slot, int32_t id, std::span<const float> logits) {
  Running& r = *slot.running;
  if (std::ranges::find(r.request.stop_ids, id) != r.request.stop_ids.end()) {
    return finish(slot, FinishReason::kStop, {.stop_id = id});
  }
  GenerationEvent event;
  if (r.request.top_logprobs) {
    event.logprob = logprob_of(logits, id);
    event.top = top_logprobs(logits, *r.request.top_logprobs);
  }
  std::optional<std::string> block;
  if (r.request.use_tool) block = r.tool_state.push(id, *tool_tokens, *tokenizer);
  if (!add_token(slot, id, true, std::move(event))) return;
  if (block) use_tool(slot, std::move(*block));
}

bool Engine::Impl::add_token(Slot& slot, int32_t id, bool sampled, GenerationEvent event) {
  Running& r = *slot.running;
  slot.tokens.push_back(id);
  ++r.n_new;
  {
    const std::lock_guard lock(mutex);
    ++stats.new_tokens;
  }
  event.id = id;
  event.sampled = sampled;
  if (r.text) event.text = r.text->push(id);
  if (r.text && r.text->stopped()) {
    finish(slot, FinishReason::kStop, std::move(event));
    return false;
  }
  if (r.n_new >= r.request.max_tokens) {
    finish(slot, FinishReason::kLength, std::move(event));
    return false;
  }
  if (std::ssize(slot.tokens) >= memory.context) {
    finish(slot, FinishReason::kContext, std::move(event));
    return false;
  }
  if (tell(r.listener, event)) return true;
  slot.running.reset();
  return false;
}

// ---- tools -------------------------------------------------------------------------------------

void Engine::Impl::use_tool(Slot& slot, std::string block) {
  if (!options.tool_is_slow) return force(slot, options.tool(block));
  slot.running->tool_result = std::async(std::launch::async, [this, text = std::move(block)] {
    std::optional<std::string> result = options.tool(text);
    changed.notify_all();
    return result;
  });
}

void Engine::Impl::collect_tool_results() {
  std::erase_if(abandoned, [](const auto& result) {
    return result.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  });
  for (Slot& slot : slots) {
    if (!slot.running || !slot.running->tool_result.valid()) continue;
    auto& result = slot.running->tool_result;
    if (result.wait_for(std::chrono::seconds(0)) != std::future_status::ready) continue;
    force(slot, result.get());
  }
}

void Engine::Impl::force(Slot& slot, const std::optional<std::string>& result) {
  if (!result) return;  // the model goes on as it likes
  for (const int32_t id : ToolState::forced_tokens(*result, *tool_tokens, *tokenizer)) {
    static_cast<void>(slot.running->tool_state.push(id, *tool_tokens, *tokenizer));
    if (!add_token(slot, id, false, {})) return;
  }
}

// ---- the end -----------------------------------------------------------------------------------

void Engine::Impl::finish(Slot& slot, FinishReason reason, GenerationEvent event) {
  const std::unique_ptr<Running> done = std::move(slot.running);
  slot.last_used = ++clock;
  if (done->tool_result.valid()) abandoned.push_back(std::move(done->tool_result));
  event.finish = reason;
  if (done->text) event.text += done->text->finish();
  tell(done->listener, event);
}

bool Engine::Impl::tell(const GenerationListener& listener, const GenerationEvent& event) {
  if (!listener) return true;
  try {
    listener(event);
    return true;
  } catch (...) {  // the others' tokens must not be lost: thrown at the end of the step
    if (!thrown) thrown = std::current_exception();
    return false;
  }
}

// ---- the public face ---------------------------------------------------------------------------

Engine::Engine(Gpt& model, const Tokenizer* tokenizer, const EngineOptions& options)
    : impl_(std::make_unique<Impl>(model, tokenizer, options)) {
  impl_->stats.free_slots = impl_->memory.slots;
}

Engine::~Engine() = default;

RequestId Engine::submit(GenerationRequest request, GenerationListener listener) {
  impl_->check(request);
  const std::lock_guard lock(impl_->mutex);
  const RequestId id = impl_->next_id++;
  impl_->submitted.push_back({id, std::move(request), std::move(listener)});
  ++impl_->stats.requests;
  ++impl_->stats.waiting;
  impl_->changed.notify_all();
  return id;
}

void Engine::cancel(RequestId id) {
  const std::lock_guard lock(impl_->mutex);
  impl_->cancelled.push_back(id);
  impl_->changed.notify_all();
}

bool Engine::step() { return impl_->step(); }

void Engine::run() {
  while (step()) {
  }
}

void Engine::wait(double seconds) {
  std::unique_lock lock(impl_->mutex);
  impl_->changed.wait_for(lock, std::chrono::duration<double>(seconds), [&] {
    return !impl_->submitted.empty() || !impl_->cancelled.empty() || impl_->stats.running > 0 ||
           impl_->stats.waiting > 0;
  });
}

EngineStats Engine::stats() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->stats;
}

const EngineMemory& Engine::memory() const noexcept { return impl_->memory; }

}  // namespace nanochat
