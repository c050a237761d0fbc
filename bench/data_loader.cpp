/// How fast batches come out of a token loader, when nothing is done with them: tokens per second
/// of its one thread, from text and from .tok files. And, with --step-ms, what a trainer that works
/// so long on every batch waits for.
///
///   data_loader a.jsonl b.jsonl --tokenizer T              packed as a stream and by best fit
///   data_loader folder_of_tok --tokenizer T --step-ms 200  the share of time spent waiting
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "core/error.h"
#include "data/token_loader.h"
#include "tokenizer/formats.h"

namespace nanochat::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::vector<std::string> data;
  std::string tokenizer;
  int64_t device_batch_size = 8, sequence_len = 1024;
  double seconds = 5;
  int step_ms = 0;
};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void measure(const Options& options, const Tokenizer& tokenizer, Packing packing) {
  TokenLoaderOptions o;
  o.device_batch_size = options.device_batch_size;
  o.sequence_len = options.sequence_len;
  o.packing = packing;
  TokenLoader loader(split_data(options.data).train, tokenizer, o);
  TokenBatch batch;
  const auto opened = Clock::now();
  static_cast<void>(loader.next(batch));
  const double first_seconds = seconds_since(opened);

  const auto start = Clock::now();
  const double waited = loader.wait_seconds();
  int64_t n_batches = 0;
  for (; seconds_since(start) < options.seconds; ++n_batches) {
    static_cast<void>(loader.next(batch));
    if (options.step_ms > 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(options.step_ms));
  }
  const double seconds = seconds_since(start);
  const double tokens = static_cast<double>(n_batches * o.device_batch_size * o.sequence_len);
  fmt::print(
      "{:<9} {:.2f} M tokens/s, {:.3f}% of the time waiting, epoch {}, first batch {:.0f} ms\n",
      packing == Packing::kStream ? "stream" : "best fit", tokens / seconds / 1e6,
      100 * (loader.wait_seconds() - waited) / seconds, batch.epoch, first_seconds * 1e3);
}

}  // namespace
}  // namespace nanochat::bench

int main(int argc, char** argv) {
  nanochat::bench::Options options;
  CLI::App app("tokens per second of the data loader");
  app.add_option("data", options.data, "text, or .tok files")->required();
  app.add_option("--tokenizer", options.tokenizer, "a file or folder")->required();
  app.add_option("--device-batch-size", options.device_batch_size, "B")->capture_default_str();
  app.add_option("--sequence-len", options.sequence_len, "T")->capture_default_str();
  app.add_option("--seconds", options.seconds, "of each measurement")->capture_default_str();
  app.add_option("--step-ms", options.step_ms, "sleep after each batch")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    const nanochat::Tokenizer tokenizer(nanochat::load_vocabulary(options.tokenizer));
    for (const auto packing : {nanochat::Packing::kStream, nanochat::Packing::kBestFit}) {
      nanochat::bench::measure(options, tokenizer, packing);
    }
  } catch (const nanochat::Error& e) {
    fmt::print(stderr, "error: {}\n", e.what());
    return static_cast<int>(e.exit_code());
  }
}
