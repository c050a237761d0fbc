/// The whole life of a small model in one page: read text, train a GPT on its bytes, save it, load
/// it back, let it continue a text. `./run demo` runs this on the project's own sources.
///
///   train_bytes                                  train on this project's text for about a minute
///   train_bytes --text FILE --prompt "To be" --steps 500 --depth 4
///
/// A token is a byte here, so the vocabulary is 256 and the loss in bits is bits per byte.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "core/arena.h"
#include "core/file.h"
#include "core/progress.h"
#include "core/rng.h"
#include "model/gpt.h"
#include "model/weights.h"
#include "optim/classic.h"
#include "optim/schedules.h"

using namespace nanochat;
namespace fs = std::filesystem;

namespace {

constexpr int64_t kMaxTextBytes = int64_t{1} << 30;

struct Options {
  std::string text;  // file; empty: this project's headers, sources and documents
  std::string out = "train_bytes.safetensors";
  std::string prompt = "/// The ";
  int64_t depth = 4;
  int64_t steps = 200;
  int64_t batch = 16;  // sequences a step
  int64_t sequence_len = 256;
};

int64_t parse_positive(const std::string& flag, const std::string& value) {
  char* end = nullptr;
  const int64_t n = std::strtoll(value.c_str(), &end, 10);
  if (value.empty() || *end != '\0' || n <= 0) {
    throw UsageError("{} is '{}', expected a positive whole number", flag, value);
  }
  return n;
}

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; i += 2) {
    const std::string flag = argv[i];
    if (i + 1 == argc)
      throw UsageError("{}: expected a value; see the top of train_bytes.cpp", flag);
    const std::string value = argv[i + 1];
    if (flag == "--text")
      o.text = value;
    else if (flag == "--out")
      o.out = value;
    else if (flag == "--prompt")
      o.prompt = value;
    else if (flag == "--depth")
      o.depth = parse_positive(flag, value);
    else if (flag == "--steps")
      o.steps = parse_positive(flag, value);
    else if (flag == "--batch")
      o.batch = parse_positive(flag, value);
    else if (flag == "--sequence-len")
      o.sequence_len = parse_positive(flag, value);
    else
      throw UsageError(
          "{}: no such flag; --text --out --prompt --depth --steps --batch --sequence-len", flag);
  }
  if (o.prompt.empty()) throw UsageError("--prompt is empty: the model needs a byte to start from");
  return o;
}

std::string read_text(const Options& o) {
  if (!o.text.empty()) return read_file(o.text, kMaxTextBytes);
  std::vector<fs::path> paths;
  for (const auto& entry :
       fs::recursive_directory_iterator(fs::path(NANOCHAT_SOURCE_DIR) / "src")) {
    if (entry.is_regular_file()) paths.push_back(entry.path());
  }
  std::ranges::sort(paths);  // the file system's order is not ours
  std::string text;
  for (const fs::path& p : paths) text += read_file(p, kMaxTextBytes) + "\n";
  return text;
}

/// Fills ids and targets with sequences cut out of `text` at random.
void draw_batch(const std::string& text, int64_t T, int64_t step, Batch& batch) {
  const RandomStream random(42, RandomPurpose::kData, static_cast<uint32_t>(step));
  const auto places = static_cast<float>(static_cast<int64_t>(text.size()) - T);
  for (int64_t b = 0; b < batch.runs.size(); ++b) {
    const auto begin = static_cast<int64_t>(places * random.uniform(b));
    for (int64_t t = 0; t < T; ++t) {
      const auto byte = [&](int64_t i) {
        return static_cast<uint8_t>(text[static_cast<size_t>(i)]);
      };
      batch.ids.data<int32_t>()[b * T + t] = byte(begin + t);
      batch.targets.data<int32_t>()[b * T + t] = byte(begin + t + 1);
    }
  }
  set_mean_weights(batch);
}

void train(const Options& o, const std::string& text) {
  Backend& backend = cpu_backend();
  const GptConfig config = GptConfig::from_depth(o.depth, 256, o.sequence_len);
  const int64_t T = o.sequence_len, N = o.batch * T;
  if (static_cast<int64_t>(text.size()) < 20 * (T + 1)) {
    throw DataError(
        "{} bytes of text are too few for sequences of {}: give a longer --text or a "
        "shorter --sequence-len",
        text.size(), T);
  }
  const size_t split = text.size() / 10 * 9;  // the last tenth is only evaluated on
  const std::string train_text = text.substr(0, split), val_text = text.substr(split);

  Gpt model(config, backend, {.dtype = backend.preferred_dtype()});
  model.init_weights(42);
  ClassicOptimizer optimizer(backend, model.parameters(), {.n_embd = config.n_embd});
  Batch batch{Tensor({N}, DType::kI32), Tensor({N}, DType::kI32), Tensor({N}, DType::kF32),
              TokenRuns::uniform(o.batch, T)};
  Arena arena;
  Tape tape(backend, arena);
  fmt::print("{} bytes of text; depth {}: {} parameters in {} on {}\n", text.size(), o.depth,
             config.num_params(), name_of(model.options().dtype), backend.description());

  const auto evaluate = [&] {
    constexpr int64_t kBatches = 8;
    double loss = 0;
    for (int64_t i = 0; i < kBatches; ++i) {
      draw_batch(val_text, T, i, batch);
      loss += model.loss(tape, batch).total.data<double>()[0] / kBatches;
    }
    return loss / std::log(2.0);
  };
  fmt::print("before: {:.3f} bits per byte on held-out text\n", evaluate());
  Progress progress({.label = "training", .unit = "bytes", .total = o.steps * N});
  for (int64_t step = 0; step < o.steps; ++step) {
    draw_batch(train_text, T, step, batch);
    const RecordingScope on(tape, true);
    const double loss = model.loss(tape, batch).total.data<double>()[0];
    tape.backward();
    tape.clear();
    optimizer.step(step, classic_lr_multiplier(step, o.steps));
    model.zero_grad();
    model.refresh_compute_weights();
    progress.update((step + 1) * N, fmt::format("loss {:.3f}", loss));
  }
  progress.finish();
  fmt::print("after {} steps: {:.3f} bits per byte\n", o.steps, evaluate());
  save_weights(model, o.out);
}

void continue_text(const Options& o) {
  const SafetensorsFile file(o.out);
  Backend& backend = cpu_backend();
  const GptConfig config = read_gpt_config(file);
  Gpt model(config, backend, {.dtype = backend.preferred_dtype(), .trainable = false});
  load_weights(model, file);
  Tape tape(backend, host_allocator());
  constexpr int64_t kNewTokens = 400;
  constexpr float kTemperature = 0.6F;
  std::vector<int32_t> fresh;
  for (const char c : o.prompt) fresh.push_back(static_cast<uint8_t>(c));
  const auto prompt_len = static_cast<int64_t>(fresh.size());
  std::vector<KvCache> caches = model.make_caches(1, prompt_len + kNewTokens);
  const RandomStream random(42, RandomPurpose::kSample);
  fmt::print("\n{}", o.prompt);
  for (int64_t done = 0; done < prompt_len + kNewTokens;) {
    const auto n = static_cast<int64_t>(fresh.size());
    const TokenRuns runs(std::array{Run{.row_begin = 0,
                                        .length = static_cast<int32_t>(n),
                                        .position = static_cast<int32_t>(done),
                                        .slot = 0}},
                         n);
    const Var x =
        model.forward(tape, tensor_of(std::span<const int32_t>(fresh), {n}), runs, caches);
    const Tensor logits = model.logits(tape, x.value.rows(n - 1, n));
    done += n;
    // argmax(logits / temperature + Gumbel noise) is a draw from the softmax.
    int32_t best = 0;
    float best_score = -1e30F;
    for (int32_t v = 0; v < 256; ++v) {
      const float u = random.uniform(done * 256 + v) + 1e-9F;
      const float score = logits.data<float>()[v] / kTemperature - std::log(-std::log(u));
      if (score > best_score) best = v, best_score = score;
    }
    fresh.assign(1, best);
    std::fputc(best, stdout);
    std::fflush(stdout);
  }
  fmt::print("\n\nweights: {}\n", o.out);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Options options = parse(argc, argv);
    train(options, read_text(options));
    continue_text(options);
    return 0;
  } catch (const Error& e) {
    fmt::print(stderr, "train_bytes: {}\n", e.what());
    return static_cast<int>(e.exit_code());
  }
}
