/// What a GPU gets out of this program, as ./run gpu-check prints it: products, attention, training
/// steps, decoding, each beside what the card can do.
///
///   gpu PART     products, attention, train DEPTH or decode DEPTH
///
/// Each part is a process of its own, so that the time to the first step and the memory are those
/// of a program that does nothing else.
///
/// Lines are "what | figure | share", one measurement each; a line that begins with # is for
/// people.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "core/arena.h"
#include "core/process_time.h"
#include "core/rng.h"
#include "model/gpt.h"
#include "ops/devices.h"
#include "ops/transfer.h"
#include "optim/classic.h"

namespace nanochat::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kVocab = 65536;
constexpr int64_t kSequence = 2048;
constexpr int64_t kStepTokens = 524288;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Dense bf16, by the data sheets.
double peak_flops(std::string_view card) {
  const auto is = [&](std::string_view word) { return card.find(word) != std::string_view::npos; };
  if (is("H200") || is("H100") || is("GH200")) return 989e12;
  if (is("B200")) return 2250e12;
  if (is("A100")) return 312e12;
  if (is("4090")) return 165e12;
  return 0;
}

struct Card {
  Backend& backend;
  double peak = 0;              // FLOP/s; 0: not known
  double bytes_per_second = 0;  // measured, read and written together

  [[nodiscard]] std::string share(double rate, double of) const {
    return of > 0 ? fmt::format("{:.3f}", rate / of) : "-";
  }
};

/// Seconds of one call: the best of some rounds of as many calls as take a while.
double time_of(Backend& backend, const std::function<void()>& f) {
  f();
  backend.synchronize();
  Clock::time_point start = Clock::now();
  f();
  backend.synchronize();
  const int calls = std::clamp(static_cast<int>(0.05 / seconds_since(start)), 1, 200);
  double best = std::numeric_limits<double>::infinity();
  for (int round = 0; round < 4; ++round) {
    start = Clock::now();
    for (int i = 0; i < calls; ++i) f();
    backend.synchronize();
    best = std::min(best, seconds_since(start) / calls);
  }
  return best;
}

/// Random numbers on the device. Zeros would be faster than what is real: they cost less power.
Tensor random_on(Backend& backend, Shape shape, DType dtype, uint32_t item) {
  Tensor x(shape, DType::kF32);
  fill_normal(x, RandomStream(1, RandomPurpose::kTest, 0, item), 0, 1);
  Tensor y(shape, dtype, backend.allocator());
  backend.cast(x, y);
  return y;
}

void print_row(const std::string& what, const std::string& figure, const std::string& share) {
  fmt::print("{:<46} | {:>22} | {:>8}\n", what, figure, share);
  std::fflush(stdout);
}

void measure_memory(Card& card) {
  constexpr int64_t kBytes = int64_t{1} << 30;
  Tensor x({kBytes}, DType::kU8, card.backend.allocator());
  Tensor y({kBytes}, DType::kU8, card.backend.allocator());
  card.backend.zero(x);
  const double seconds = time_of(card.backend, [&] { card.backend.copy(x, y); });
  card.bytes_per_second = 2 * static_cast<double>(kBytes) / seconds;
  print_row("copy on the device", fmt::format("{:.0f} GB/s", card.bytes_per_second / 1e9), "1");
}

void measure_products(const Card& card) {
  struct Product {
    const char* name;
    int64_t M, N, K;
    bool transpose_a, transpose_b;
    DType out;
    float beta;
    Epilogue epilogue;
  };
  const int64_t T = 65536, C = 1280;  // a micro-batch of depth 20
  const Product products[] = {
      {"c_qkv", T, 3 * C, C, false, true, DType::kBf16, 0, Epilogue::kNone},
      {"c_fc and relu^2", T, 4 * C, C, false, true, DType::kBf16, 0, Epilogue::kReluSquared},
      {"mlp c_proj", T, C, 4 * C, false, true, DType::kBf16, 0, Epilogue::kNone},
      {"dx of c_fc", T, C, 4 * C, false, false, DType::kBf16, 0, Epilogue::kNone},
      {"dw of c_fc", 4 * C, C, T, true, false, DType::kF32, 1, Epilogue::kNone},
      {"logits", 8192, kVocab, C, false, true, DType::kBf16, 0, Epilogue::kNone},
      {"dw of lm_head", kVocab, C, 8192, true, false, DType::kF32, 1, Epilogue::kNone},
      {"one row x c_fc", 1, 4 * C, C, false, true, DType::kBf16, 0, Epilogue::kNone},
  };
  for (const Product& p : products) {
    const Tensor a =
        random_on(card.backend, p.transpose_a ? Shape{p.K, p.M} : Shape{p.M, p.K}, DType::kBf16, 1);
    const Tensor b =
        random_on(card.backend, p.transpose_b ? Shape{p.N, p.K} : Shape{p.K, p.N}, DType::kBf16, 2);
    Tensor c({p.M, p.N}, p.out, card.backend.allocator());
    card.backend.zero(c);
    const double seconds = time_of(card.backend, [&] {
      card.backend.matmul(a, p.transpose_a, b, p.transpose_b, c, 1, p.beta, p.epilogue);
    });
    const double rate = 2.0 * static_cast<double>(p.M * p.N) * static_cast<double>(p.K) / seconds;
    print_row(fmt::format("product {} {}x{}x{}", p.name, p.M, p.N, p.K),
              fmt::format("{:.1f} TFLOP/s", rate / 1e12), card.share(rate, card.peak));
  }
  // Newton-Schulz's X X^T, all matrices of one shape of depth 20 together.
  const Tensor x = random_on(card.backend, {20, C, C}, DType::kBf16, 3);
  Tensor y({20, C, C}, DType::kBf16, card.backend.allocator());
  const double seconds =
      time_of(card.backend, [&] { card.backend.matmul(x, false, x, true, y, 1, 0); });
  const double rate = 2.0 * 20 * static_cast<double>(C * C * C) / seconds;
  print_row(fmt::format("product of 20 matrices {}x{}x{}", C, C, C),
            fmt::format("{:.1f} TFLOP/s", rate / 1e12), card.share(rate, card.peak));
}

void measure_attention(const Card& card) {
  for (const int64_t D : {128, 64}) {
    for (const int64_t window : {-1, 512}) {
      const int64_t B = 16, H = 1280 / D, N = B * kSequence;
      const AttentionShape shape{.n_head = H,
                                 .n_kv_head = H,
                                 .head_dim = D,
                                 .window = window,
                                 .scale = 1 / std::sqrt(static_cast<float>(D))};
      const TokenRuns runs = TokenRuns::uniform(B, kSequence);
      const Tensor qkv = random_on(card.backend, {N, shape.qkv_dim()}, DType::kBf16, 1);
      const Tensor dout = random_on(card.backend, {N, shape.q_dim()}, DType::kBf16, 2);
      Tensor out({N, shape.q_dim()}, DType::kBf16, card.backend.allocator());
      Tensor dqkv(qkv.shape(), DType::kBf16, card.backend.allocator());
      Tensor lse({N, H}, DType::kF32, card.backend.allocator());
      // Pairs that are seen, not all that there are.
      const int64_t T = kSequence;
      const int64_t pairs =
          window < 0 ? T * (T + 1) / 2 : window * (window + 1) / 2 + (T - window) * (window + 1);
      const double forward_flops =
          4.0 * static_cast<double>(B * H * D) * static_cast<double>(pairs);
      const double forward =
          time_of(card.backend, [&] { card.backend.attention(qkv, runs, shape, out, lse); });
      const double backward = time_of(card.backend, [&] {
        card.backend.attention_backward(dout, qkv, out, lse, runs, shape, dqkv);
      });
      const std::string which =
          fmt::format("head {} T {}{}", D, T, window < 0 ? "" : fmt::format(" window {}", window));
      print_row("attention forward, " + which,
                fmt::format("{:.1f} TFLOP/s", forward_flops / forward / 1e12),
                card.share(forward_flops / forward, card.peak));
      print_row("attention backward, " + which,
                fmt::format("{:.1f} TFLOP/s", 2.5 * forward_flops / backward / 1e12),
                card.share(2.5 * forward_flops / backward, card.peak));
    }
  }
}

Batch some_batch(int64_t B) {
  const int64_t N = B * kSequence;
  Batch batch{Tensor({N}, DType::kI32), Tensor({N}, DType::kI32), Tensor({N}, DType::kF32),
              TokenRuns::uniform(B, kSequence)};
  const RandomStream random(1, RandomPurpose::kTest);
  for (int64_t n = 0; n < N; ++n) {
    const auto id = [&](int64_t i) {  // mostly small ones, as text has
      const double u = static_cast<double>(random.uniform(i));
      return static_cast<int32_t>(static_cast<double>(kVocab) * u * u * u);
    };
    batch.ids.data<int32_t>()[n] = id(n);
    batch.targets.data<int32_t>()[n] = id(n + 1);
  }
  set_mean_weights(batch);
  return batch;
}

void measure_training(const Card& card, int64_t depth) {
  Backend& backend = card.backend;
  const GptConfig config = GptConfig::from_depth(depth, kVocab, kSequence);
  constexpr int64_t B = 32;
  Gpt model(config, backend, {.dtype = DType::kBf16});
  model.init_weights(42);
  ClassicOptimizer optimizer(
      backend, model.parameters(),
      {.n_embd = config.n_embd, .newton_schulz = {.scratch_limit_bytes = int64_t{1} << 30}},
      backend.allocator());
  const Batch batch = some_batch(B);
  Arena memory(backend.reserve_addresses());
  Tape tape(backend, memory);
  const auto micro_step = [&] {
    const RecordingScope on(tape, true);
    { const LossResult loss = model.loss(tape, batch); }
    tape.backward();
    tape.clear();
  };
  int64_t step = 0;
  const auto update = [&] {
    static_cast<void>(optimizer.step(step++, 1.0));
    model.refresh_compute_weights();
    model.zero_grad();
  };
  micro_step();
  update();
  backend.synchronize();
  print_row(fmt::format("depth {}: first step, from process start", depth),
            fmt::format("{:.2f} s", seconds_since_process_start()), "-");
  const double micro = time_of(backend, micro_step);
  const double optim = time_of(backend, update);
  constexpr int64_t kMicroBatches = kStepTokens / (B * kSequence);
  const double seconds = micro * kMicroBatches + optim;
  const double rate = static_cast<double>(kStepTokens) / seconds;
  const double flops = rate * static_cast<double>(config.flops_per_token());
  const int64_t bytes = model.weight_bytes() + model.grad_bytes() + optimizer.state_bytes() +
                        optimizer.muon.scratch_bytes() + memory.extent_bytes() +
                        backend.workspace_bytes();
  print_row(fmt::format("depth {}: training, {} tokens a step", depth, kStepTokens),
            fmt::format("{:.0f} tokens/s", rate), card.share(flops, card.peak));
  print_row(fmt::format("depth {}: optimizer's share of a step", depth),
            fmt::format("{:.1f} ms", optim * 1e3), fmt::format("{:.4f}", optim / seconds));
  print_row(fmt::format("depth {}: memory at {} x {}", depth, B, kSequence),
            fmt::format("{:.2f} GiB", static_cast<double>(bytes) / (1 << 30)), "-");
}

void measure_decoding(const Card& card, int64_t depth) {
  Backend& backend = card.backend;
  const GptConfig config = GptConfig::from_depth(depth, kVocab, kSequence);
  Gpt model(config, backend, {.dtype = DType::kBf16, .trainable = false});
  model.init_weights(42);
  constexpr int64_t kContext = 1024, kSteps = 64;
  double one = 0;
  for (const int64_t batch : {1, 8, 64}) {
    std::vector<KvCache> caches = model.make_caches(batch, kContext + kSteps + 16);
    Arena memory(backend.reserve_addresses());
    Tape tape(backend, memory);
    const RecordingScope off(tape, false);
    std::vector<Run> list;
    std::vector<int32_t> ids(static_cast<size_t>(batch), 7);
    TokenRuns runs;
    Tensor on_cpu({batch, kVocab}, DType::kF32);
    const auto decode = [&](int64_t position) {
      list.clear();
      for (int64_t i = 0; i < batch; ++i) {
        list.push_back({.row_begin = static_cast<int32_t>(i),
                        .length = 1,
                        .position = static_cast<int32_t>(position),
                        .slot = static_cast<int32_t>(i)});
      }
      runs.assign(list, batch);
      const Var hidden =
          model.forward(tape, tensor_of(std::span<const int32_t>(ids), {batch}), runs, caches);
      const Tensor logits = model.logits(tape, hidden.value);
      backend.copy(logits, on_cpu);
      backend.synchronize();
    };
    for (KvCache& cache : caches) {  // as if a prompt had been read
      backend.zero(cache.k);
      backend.zero(cache.v);
    }
    for (int64_t i = 0; i < 4; ++i) decode(kContext + i);
    const Clock::time_point start = Clock::now();
    for (int64_t i = 4; i < kSteps; ++i) decode(kContext + i);
    const double seconds = seconds_since(start) / static_cast<double>(kSteps - 4);
    const double rate = static_cast<double>(batch) / seconds;
    if (batch == 1) one = rate;
    const int64_t read =
        model.weight_bytes() - model.parameters().front().value.size_bytes() +
        batch * kContext * 2 * config.n_layer * config.n_kv_head * config.head_dim() * 2;
    print_row(fmt::format("depth {}: decoding, batch {}, context {}", depth, batch, kContext),
              fmt::format("{:.0f} tok/s ({:.1f}x)", rate, rate / one),
              card.share(static_cast<double>(read) / seconds, card.bytes_per_second));
  }
}

int run(int argc, char** argv) {
  const std::string part = argc > 1 ? argv[1] : "";
  const int64_t depth = argc > 2 ? std::atoll(argv[2]) : 20;
  Card card{.backend = cuda_backend()};
  card.peak = peak_flops(card.backend.description());
  fmt::print("# {}; bf16 peak {:.0f} TFLOP/s; backend ready after {:.2f} s\n",
             card.backend.description(), card.peak / 1e12, seconds_since_process_start());
  if (part == "train") {
    measure_training(card, depth);
    return 0;
  }
  if (part == "products") {
    measure_products(card);
  } else if (part == "attention") {
    measure_attention(card);
  } else if (part == "decode") {
    measure_memory(card);
    measure_decoding(card, depth);
  } else {
    throw UsageError("'{}': expected products, attention, train DEPTH or decode DEPTH", part);
  }
  return 0;
}

}  // namespace
}  // namespace nanochat::bench

int main(int argc, char** argv) {
  try {
    return nanochat::bench::run(argc, argv);
  } catch (const nanochat::Error& e) {
    std::fprintf(stderr, "gpu: %s\n", e.what());
    return static_cast<int>(e.exit_code());
  }
}
