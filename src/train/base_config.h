/// Every setting of pretraining, once: name, default, group and help. The command line, the config
/// file, state.json and the comparison on resume are all made from this list.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nanochat {

/// Defaults are upstream's classic base_train.
struct BaseTrainConfig {
  // Model
  int64_t depth = 20;
  int64_t sequence_len = 2048;
  // Data
  std::vector<std::string> data{};
  std::vector<std::string> val_data{};
  std::string tokenizer = "default";
  std::string packing = "stream";
  std::string text_field = "text";
  std::string txt_separator{};
  bool skip_bad_shards = false;
  // Length of the run
  int64_t num_iterations = -1;
  double target_flops = -1;
  double target_param_data_ratio = 20;
  // Batch
  int64_t device_batch_size = 32;
  int64_t total_batch_size = 524288;
  // Optimization
  double embedding_lr = 0.2;
  double unembedding_lr = 0.004;
  double matrix_lr = 0.02;
  double weight_decay = 0.0;
  double grad_clip = 1.0;
  double warmup_ratio = 0.0;
  double warmdown_ratio = 0.2;
  double final_lr_frac = 0.0;
  // Evaluation
  int64_t eval_every = 250;
  int64_t eval_tokens = 20 * 524288;
  int64_t sample_every = 2000;
  std::vector<std::string> sample_prompts = {"The capital of France is",
                                             "The chemical symbol of gold is",
                                             "If yesterday was Friday, then tomorrow will be",
                                             "The opposite of hot is",
                                             "The planets of the solar system are:",
                                             "My favorite color is",
                                             "If 5*x + 3 = 13, then x is"};
  // Checkpoints
  int64_t save_every = -1;
  int64_t keep = 0;
  // Machine
  std::string device = "auto";
  std::string dtype = "auto";
  bool activation_checkpointing = false;
  int64_t seed = 42;
};

/// What a setting may do to a run that is resumed with another value of it.
enum class OnResume : uint8_t {
  kMustMatch,  ///< it makes another model or optimizer: refused
  kWarn,       ///< the curve will differ from that of an uninterrupted run: said so
  kFree,       ///< it changes nothing that is computed
};

struct SettingInfo {
  const char* name;   ///< of the flag, without the dashes; underscores in JSON
  const char* group;  ///< of --help
  OnResume on_resume;
  const char* type;  ///< what stands for the value in --help; empty for a switch
  const char* help;
};

/// Calls f(SettingInfo, field) for each, in the order of --help. Config: BaseTrainConfig, const or
/// not.
template <typename Config, typename F>
void for_each_setting(Config& c, F&& f) {
  using enum OnResume;
  const char* const kModel = "Model";
  f(SettingInfo{"depth", kModel, kMustMatch, "N",
                "layers; the one dial: width 64 x depth, heads of 128"},
    c.depth);
  f(SettingInfo{"sequence-len", kModel, kMustMatch, "TOKENS", "context"}, c.sequence_len);

  const char* const kData = "Data";
  f(SettingInfo{"data", kData, kFree, "PATH",
                "files, folders or globs: .parquet, .jsonl, .txt (also .gz, .zst), .tok; may be "
                "repeated. Default: what nanochat data has put into the base folder"},
    c.data);
  f(SettingInfo{"val-data", kData, kFree, "PATH",
                "validation text. Default: the last file of --data, or the last tenth of a single "
                "one"},
    c.val_data);
  f(SettingInfo{"tokenizer", kData, kFree, "NAME|PATH",
                "a name in the base folder, or a file or folder of any format"},
    c.tokenizer);
  f(SettingInfo{"packing", kData, kMustMatch, "stream|bestfit",
                "rows of a batch: cut from one stream of documents, or packed with whole ones"},
    c.packing);
  f(SettingInfo{"text-field", kData, kWarn, "NAME", "column or key that holds the text"},
    c.text_field);
  f(SettingInfo{"txt-separator", kData, kWarn, "TEXT",
                "what separates the documents of a .txt file (\\n allowed); none: one document"},
    c.txt_separator);
  f(SettingInfo{"skip-bad-shards", kData, kFree, "",
                "go on after a file that is corrupt, and count them"},
    c.skip_bad_shards);

  const char* const kLength = "Length of the run (the first that is positive)";
  f(SettingInfo{"num-iterations", kLength, kWarn, "N", "optimizer steps"}, c.num_iterations);
  f(SettingInfo{"target-flops", kLength, kWarn, "FLOPS", "floating point operations of the run"},
    c.target_flops);
  f(SettingInfo{"target-param-data-ratio", kLength, kWarn, "X", "tokens for each parameter"},
    c.target_param_data_ratio);

  const char* const kBatch = "Batch";
  f(SettingInfo{"device-batch-size", kBatch, kWarn, "N",
                "sequences of a micro-batch; lower it when memory runs out"},
    c.device_batch_size);
  f(SettingInfo{"total-batch-size", kBatch, kWarn, "TOKENS",
                "of an optimizer step; a multiple of device batch x sequence length"},
    c.total_batch_size);

  const char* const kOptim = "Optimization";
  f(SettingInfo{"embedding-lr", kOptim, kMustMatch, "X", "of wte (AdamW), at width 768"},
    c.embedding_lr);
  f(SettingInfo{"unembedding-lr", kOptim, kMustMatch, "X", "of lm_head (AdamW), at width 768"},
    c.unembedding_lr);
  f(SettingInfo{"matrix-lr", kOptim, kMustMatch, "X", "of the matrices in the blocks (Muon)"},
    c.matrix_lr);
  f(SettingInfo{"weight-decay", kOptim, kMustMatch, "X", "of AdamW"}, c.weight_decay);
  f(SettingInfo{"grad-clip", kOptim, kWarn, "X", "largest global norm of the gradient; 0: any"},
    c.grad_clip);
  f(SettingInfo{"warmup-ratio", kOptim, kWarn, "FRAC", "share of the run in which rates rise"},
    c.warmup_ratio);
  f(SettingInfo{"warmdown-ratio", kOptim, kWarn, "FRAC", "share of the run in which they fall"},
    c.warmdown_ratio);
  f(SettingInfo{"final-lr-frac", kOptim, kWarn, "FRAC", "what is left of them at the end"},
    c.final_lr_frac);

  const char* const kEval = "Evaluation";
  f(SettingInfo{"eval-every", kEval, kFree, "STEPS",
                "bits per byte on the validation text, also at the start and the end; -1: at the "
                "end only"},
    c.eval_every);
  f(SettingInfo{"eval-tokens", kEval, kFree, "TOKENS", "at most, and at most once through"},
    c.eval_tokens);
  f(SettingInfo{"sample-every", kEval, kFree, "STEPS",
                "continue the prompts, also at the end; -1: at the end only; 0: never"},
    c.sample_every);
  f(SettingInfo{"sample-prompt", kEval, kFree, "TEXT", "may be repeated"}, c.sample_prompts);

  const char* const kCheckpoints = "Checkpoints";
  f(SettingInfo{"save-every", kCheckpoints, kFree, "STEPS",
                "also at the end and when interrupted; -1: only then"},
    c.save_every);
  f(SettingInfo{"keep", kCheckpoints, kFree, "N", "only the newest so many; 0: all"}, c.keep);

  const char* const kMachine = "Machine";
  f(SettingInfo{"device", kMachine, kFree, "DEVICE", "auto or cpu; there is no other yet"},
    c.device);
  f(SettingInfo{"dtype", kMachine, kWarn, "auto|f32|bf16",
                "of activations and products; auto: bf16 where the CPU multiplies it"},
    c.dtype);
  f(SettingInfo{"activation-checkpointing", kMachine, kFree, "",
                "keep less for backward, compute it twice; the same result"},
    c.activation_checkpointing);
  f(SettingInfo{"seed", kMachine, kWarn, "N", "of the initial weights and of samples"}, c.seed);
}

}  // namespace nanochat
