#include "engine/inference_benchmark.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "core/arena.h"
#include "core/parallel.h"
#include "core/rng.h"
#include "engine/engine.h"

namespace nanochat {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<int32_t> some_prompt(int64_t n, int64_t vocab_size) {
  std::vector<int32_t> ids;
  const RandomStream random(1, RandomPurpose::kTest);
  for (int64_t i = 0; i < n; ++i) {
    ids.push_back(static_cast<int32_t>(random.uniform(i) * static_cast<float>(vocab_size - 1)));
  }
  return ids;
}

int64_t bytes_per_step(const Gpt& model, int64_t batch, int64_t context) {
  const GptConfig& config = model.config();
  int64_t weights = 0;
  for (const PackedWeights& w : model.packed_weights()) weights += w.size_bytes();
  if (weights == 0) {
    weights = model.weight_bytes() - model.parameters().front().value.size_bytes();
  }
  const int64_t seen = config.window < 0 ? context : std::min(context, config.window + 1);
  return weights + batch * seen * 2 * config.n_layer * config.n_kv_head * config.head_dim() *
                       size_of(cache_dtype_of(model));
}

}  // namespace

double measure_read_bandwidth() {
  constexpr int64_t kBytes = int64_t{512} << 20;
  constexpr int kPasses = 6;
  Tensor memory({kBytes / 4}, DType::kF32);
  const std::span<float> numbers = memory.span<float>();
  parallel_for(std::ssize(numbers), 1 << 16, [&](int64_t begin, int64_t end) {
    std::fill(numbers.begin() + begin, numbers.begin() + end, 1.0F);  // where it is read
  });
  double best = std::numeric_limits<double>::infinity();
  std::vector<float> sums(static_cast<size_t>(num_threads()) * 64);
  for (int pass = 0; pass < kPasses; ++pass) {
    const Clock::time_point start = Clock::now();
    parallel_for(std::ssize(numbers), 1 << 16, [&](int64_t begin, int64_t end) {
      float lanes[64] = {};
      const float* x = numbers.data();
      for (int64_t i = begin; i < end; i += 64) {
        for (int64_t j = 0; j < 64; ++j) lanes[j] += x[i + j];
      }
      float sum = 0;
      for (const float lane : lanes) sum += lane;
      // Somebody must want the sum.
      sums[static_cast<size_t>(begin / ((std::ssize(numbers) / num_threads()) + 1)) * 64] = sum;
    });
    best = std::min(best, seconds_since(start));
  }
  return static_cast<double>(kBytes) / best;
}

double measure_read_bandwidth(Backend& backend) {
  if (backend.device().kind == DeviceKind::kCpu) return measure_read_bandwidth();
  constexpr int64_t kBytes = int64_t{2} << 30;
  Tensor memory({kBytes / 4}, DType::kF32, backend.allocator());
  Tensor sum({1}, DType::kF64, backend.allocator());
  backend.zero(memory);
  double best = std::numeric_limits<double>::infinity();
  for (int pass = 0; pass < 6; ++pass) {
    backend.synchronize();
    const Clock::time_point start = Clock::now();
    backend.dot(memory, memory, 0, sum);
    backend.synchronize();
    best = std::min(best, seconds_since(start));
  }
  return static_cast<double>(kBytes) / best;
}

double measure_forward(Gpt& model, int64_t prompt_tokens) {
  Arena memory(model.backend().reserve_addresses());
  Tape tape(model.backend(), memory);
  const RecordingScope off(tape, false);
  const std::vector<int32_t> ids = some_prompt(prompt_tokens, model.config().vocab_size);
  const Tensor tensor = tensor_of(std::span(ids), {prompt_tokens});
  const TokenRuns runs = TokenRuns::uniform(1, prompt_tokens);
  double best = std::numeric_limits<double>::infinity();
  for (int pass = 0; pass < 4; ++pass) {
    const Clock::time_point start = Clock::now();
    const Var hidden = model.forward(tape, tensor, runs);
    model.backend().synchronize();
    if (pass > 0) best = std::min(best, seconds_since(start));
  }
  return static_cast<double>(prompt_tokens) / best;
}

std::vector<BatchMeasurement> measure_generation(
    Gpt& model, const InferenceBenchmarkOptions& options,
    const std::function<void(const BatchMeasurement&)>& on_result) {
  std::vector<BatchMeasurement> results;
  for (const int64_t batch : options.batch_sizes) {
    Engine engine(model, nullptr,
                  {.slots = batch,
                   .context = options.prompt_tokens + options.decode_tokens + 1,
                   .prefill_chunk = options.prompt_tokens});
    BatchMeasurement result{.batch = batch};
    int64_t heard = 0, started = 0;
    const auto submit = [&](uint32_t sample) {
      engine.submit({.prompt = some_prompt(options.prompt_tokens, model.config().vocab_size),
                     .max_tokens = options.decode_tokens + 1,
                     .sampling = {.temperature = 0},
                     .sample = sample},
                    [&heard, &started, first = true](const GenerationEvent&) mutable {
                      ++heard;
                      started += std::exchange(first, false);
                    });
    };
    double first = std::numeric_limits<double>::infinity();
    for (int pass = 0; pass < 2; ++pass) {  // the first one warms up
      Engine alone(model, nullptr,
                   {.slots = 1,
                    .context = options.prompt_tokens + 2,
                    .prefill_chunk = options.prompt_tokens});
      alone.submit({.prompt = some_prompt(options.prompt_tokens, model.config().vocab_size),
                    .max_tokens = 1,
                    .sampling = {.temperature = 0}},
                   {});
      const Clock::time_point start = Clock::now();
      alone.step();
      first = std::min(first, seconds_since(start));
    }
    result.first_token_seconds = first;
    for (int64_t i = 0; i < batch; ++i) submit(static_cast<uint32_t>(i));
    while (started < batch) engine.step();  // all have read the prompt
    std::vector<double> seconds;
    for (;;) {
      const int64_t before = heard;
      const Clock::time_point start = Clock::now();
      engine.step();
      if (heard - before < batch && !seconds.empty()) break;
      seconds.push_back(seconds_since(start));
    }
    std::ranges::sort(seconds);
    result.step_seconds = seconds[seconds.size() / 2];
    result.bytes_per_step =
        bytes_per_step(model, batch, options.prompt_tokens + options.decode_tokens / 2);
    result.memory_bytes = engine.memory().total();
    if (on_result) on_result(result);
    results.push_back(result);
  }
  return results;
}

}  // namespace nanochat
