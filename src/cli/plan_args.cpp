#include <memory>
#include <string>

#include "cli/command_line.h"
#include "cli/option_types.h"
#include "cli/plan.h"

namespace nanochat::cli {
namespace {

void add_run_options(CLI::App& plan, PlanCommandOptions& o) {
  plan.add_option("--depth", o.depths,
                  "layers, which set all else: one depth for a full plan; several (4,8,12 or 4..32 "
                  "in steps of 2, 4..32:4 in steps of 4) for a table")
      ->type_name("D|D,D|D..D")
      ->capture_default_str()
      ->group("Run");
  plan.add_option("--recipe", o.recipe, "the revision of nanochat to follow")
      ->check(one_of({"classic", "modern"}))
      ->type_name("classic|modern")
      ->capture_default_str()
      ->group("Run");
  add_count(plan, "--vocab-size", o.plan.vocab_size, "tokens of the tokenizer")
      ->default_str("65536 classic, 32768 modern")
      ->group("Run");
  add_count(plan, "--sequence-len", o.plan.sequence_len, "context, in tokens")->group("Run");
  add_count(plan, "--device-batch-size", o.plan.device_batch_size,
            "sequences at a time on each device")
      ->group("Run");
  add_count(plan, "--total-batch-size", o.plan.total_batch_size, "tokens a step", true)
      ->default_str("524288 classic, from the run's tokens modern")
      ->group("Run");
  add_count(plan, "--num-iterations", o.plan.num_iterations,
            "how long: steps (this flag comes before the two below)", true)
      ->default_str("")
      ->group("Run");
  plan.add_option("--target-flops", o.plan.target_flops, "how long: FLOPs in all")
      ->type_name("X")
      ->group("Run");
  plan.add_option("--target-param-data-ratio", o.plan.target_param_data_ratio,
                  "how long: tokens for each parameter")
      ->type_name("X")
      ->default_str("20 classic, 12 modern")
      ->group("Run");
  plan.add_flag("--activation-checkpointing", o.plan.activation_checkpointing,
                "keep each block's input only, compute the rest twice")
      ->group("Run");
  add_count(plan, "--aspect-ratio", o.plan.aspect_ratio, "modern: channels for each layer")
      ->group("Run");
  add_count(plan, "--head-dim", o.plan.head_dim, "modern: channels of a head")->group("Run");
  plan.add_option("--window-pattern", o.plan.window_pattern,
                  "modern: attention of the layers in turn, S a quarter of the context, L all")
      ->type_name("LETTERS")
      ->capture_default_str()
      ->group("Run");
  plan.add_option("--chars-per-token", o.plan.chars_per_token,
                  "of the text to download (nanochat tok eval measures it)")
      ->type_name("X")
      ->capture_default_str()
      ->group("Run");
}

}  // namespace

void add_plan_device_options(CLI::App& plan, PlanCommandOptions& o) {
  plan.add_option("--device", o.device, "where it will run; cpu: this machine")
      ->check(one_of({"gpu", "cpu"}))
      ->type_name("gpu|cpu")
      ->default_str("gpu")
      ->group("Device");
  plan.add_option("--gpu", o.gpu, "which GPU: h100, a100, 4090, mi300x, ...")
      ->type_name("NAME")
      ->default_str("h100")
      ->group("Device");
  add_count(plan, "--gpus", o.gpus, "how many")->group("Device");
  plan.add_option("--price", o.price_per_hour, "dollars an hour for each GPU")
      ->type_name("X")
      ->default_str("3 for an h100, else none")
      ->group("Device");
  plan.add_option("--mfu", o.mfu, "share of the peak that training reaches")
      ->type_name("X")
      ->default_str("0.5 of a GPU, 0.8 of a CPU")
      ->group("Device");
  plan.add_option("--gflops", o.gflops,
                  "what one device does at most, in place of the GPU's figure; alone: this CPU's "
                  "in large products of matrices")
      ->type_name("X")
      ->group("Device");
  plan.add_option("--memory-gib", o.memory_gib,
                  "memory of one device, in place of the GPU's figure or this machine's")
      ->type_name("X")
      ->group("Device");
  plan.add_option("--dtype", o.dtype, "of activations and products")
      ->check(one_of({"f32", "bf16"}))
      ->type_name("f32|bf16")
      ->default_str("bf16 for a GPU, for a CPU what it is good at")
      ->group("Device");
  plan.add_flag("--measure", o.measure, "time this CPU for a second, and plan for it")
      ->group("Device");
}

void add_plan_command(CLI::App& app, CommonOptions& common, Action& action) {
  const auto o = std::make_shared<PlanCommandOptions>();
  CLI::App& plan =
      add_command(app, "plan", "what a training run will be: sizes, steps, memory, time, cost",
                  common, action, o, run_plan);
  add_run_options(plan, *o);
  add_plan_device_options(plan, *o);
  add_common_options(plan, common);
}

}  // namespace nanochat::cli
