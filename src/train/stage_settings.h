/// Settings of the training stages: how a list of them is written, and the groups that all share.
/// A stage's own file lists its groups in the order of --help; the command line, the config file,
/// state.json and the comparison on resume are all made from that list.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nanochat {

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

// Below, `Config` is a struct with these members, const or not; f is called as f(SettingInfo,
// field).

/// Defaults are those of pretraining.
struct OptimizerSettings {
  double embedding_lr = 0.2;
  double unembedding_lr = 0.004;
  double matrix_lr = 0.02;
  double weight_decay = 0.0;
  double grad_clip = 1.0;
  double warmup_ratio = 0.0;
  double warmdown_ratio = 0.2;
  double final_lr_frac = 0.0;
};
inline constexpr const char* kOptimizationGroup = "Optimization";
template <typename Config, typename F>
void optimizer_settings(Config& c, F&& f) {
  using enum OnResume;
  const char* const kGroup = kOptimizationGroup;
  f(SettingInfo{"embedding-lr", kGroup, kMustMatch, "X", "of wte (AdamW), at width 768"},
    c.embedding_lr);
  f(SettingInfo{"unembedding-lr", kGroup, kMustMatch, "X", "of lm_head (AdamW), at width 768"},
    c.unembedding_lr);
  f(SettingInfo{"matrix-lr", kGroup, kMustMatch, "X", "of the matrices in the blocks (Muon)"},
    c.matrix_lr);
  f(SettingInfo{"weight-decay", kGroup, kMustMatch, "X", "of AdamW"}, c.weight_decay);
  f(SettingInfo{"grad-clip", kGroup, kWarn, "X", "largest global norm of the gradient; 0: any"},
    c.grad_clip);
  f(SettingInfo{"warmup-ratio", kGroup, kWarn, "FRAC", "share of the run in which rates rise"},
    c.warmup_ratio);
  f(SettingInfo{"warmdown-ratio", kGroup, kWarn, "FRAC", "share of the run in which they fall"},
    c.warmdown_ratio);
  f(SettingInfo{"final-lr-frac", kGroup, kWarn, "FRAC", "what is left of them at the end"},
    c.final_lr_frac);
}

/// What every stage begins with that goes on from a trained model.
struct SourceSettings {
  std::string source{};
  std::string tokenizer{};
  bool load_optimizer = false;
  double init_lr_frac = 1.0;
};
template <typename Config, typename F>
void source_settings(Config& c, F&& f) {
  using enum OnResume;
  const char* const kGroup = "Model";
  f(
      SettingInfo{
          "source", kGroup, kFree, "MODEL",
          "what to go on from: STAGE:TAG@STEP, every part optional, or a path. Default: the stage "
          "before"},
      c.source);
  f(SettingInfo{"tokenizer", kGroup, kFree, "NAME|PATH",
                "default: the one that is kept with the source"},
    c.tokenizer);
}
template <typename Config, typename F>
void source_optimizer_settings(Config& c, F&& f) {
  using enum OnResume;
  f(SettingInfo{"init-lr-frac", kOptimizationGroup, kMustMatch, "FRAC",
                "all learning rates are multiplied by it"},
    c.init_lr_frac);
  f(SettingInfo{"load-optimizer", kOptimizationGroup, kFree, "",
                "go on with the momentum that the source's optimizer had"},
    c.load_optimizer);
}

struct TaskDataSettings {
  std::vector<std::string> task_data{};
};
template <typename Config, typename F>
void task_data_settings(Config& c, F&& f) {
  f(SettingInfo{"task-data", "Data", OnResume::kFree, "FOLDER",
                "where tasks' data sets are looked for, before the base folder; may be repeated"},
    c.task_data);
}

struct CheckpointSettings {
  int64_t save_every = -1;
  int64_t keep = 0;
};
template <typename Config, typename F>
void checkpoint_settings(Config& c, F&& f) {
  using enum OnResume;
  const char* const kGroup = "Checkpoints";
  f(SettingInfo{"save-every", kGroup, kFree, "STEPS",
                "also at the end and when interrupted; -1: only then"},
    c.save_every);
  f(SettingInfo{"keep", kGroup, kFree, "N", "only the newest so many; 0: all"}, c.keep);
}

struct MachineSettings {
  std::string device = "auto";
  std::string dtype = "auto";
  bool activation_checkpointing = false;
  int64_t seed = 42;
};
template <typename Config, typename F>
void machine_settings(Config& c, F&& f) {
  using enum OnResume;
  const char* const kGroup = "Machine";
  f(SettingInfo{"device", kGroup, kFree, "DEVICE",
                "auto, cpu, cuda or cuda:N; auto: the first GPU, if there is one"},
    c.device);
  f(SettingInfo{"dtype", kGroup, kWarn, "auto|f32|bf16",
                "of activations and products; auto: bf16 where the device multiplies it"},
    c.dtype);
  f(SettingInfo{"activation-checkpointing", kGroup, kFree, "",
                "keep less for backward, compute it twice; the same result"},
    c.activation_checkpointing);
  f(SettingInfo{"seed", kGroup, kWarn, "N", "of the initial weights and of samples"}, c.seed);
}

}  // namespace nanochat
