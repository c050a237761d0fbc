#include "cli/bench.h"
#include "cli/command_line.h"
#include "cli/option_types.h"

namespace nanochat::cli {

void add_bench_commands(CLI::App& app, CommonOptions& common, Action& action) {
  CLI::App& bench = *app.add_subcommand("bench", "measure how fast this machine is");
  bench.require_subcommand(1);
  const auto o = std::make_shared<BenchInferOptions>();
  CLI::App& infer =
      add_command(bench, "infer",
                  "time to the first token, tokens per second and memory, beside what "
                  "the machine's memory allows",
                  common, action, o, run_bench_infer);
  auto* const model =
      infer
          .add_option("model", o->model, "stage:tag@step or a path, as for sample; nothing: newest")
          ->type_name("MODEL");
  add_count(infer, "--depth", o->depth, "an untrained model of so many layers instead")
      ->default_str("")
      ->excludes(model);
  add_count(infer, "--vocab-size", o->vocab_size, "of that one");
  add_count(infer, "--prompt-tokens", o->prompt_tokens, "to read before the first token");
  add_count(infer, "--decode-tokens", o->decode_tokens, "to generate");
  infer.add_option("--batch-sizes", o->batch_sizes, "requests at a time")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096))
      ->type_name("N,N,...")
      ->capture_default_str();
  add_device(infer, o->device);
  add_dtype(infer, o->dtype);
  add_quantize(infer, o->quantize);
  add_common_options(infer, common);
}

}  // namespace nanochat::cli
