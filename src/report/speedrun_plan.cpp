#include "report/speedrun_plan.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <sstream>

#include <fmt/format.h>

#include "core/error.h"

namespace nanochat {
namespace {

/// What is the same in every preset. In names, {tag} is the preset's.
struct StageKind {
  std::string_view name, needs, section, output;
  bool trains = false;
};
constexpr std::array<StageKind, 13> kKinds{{
    {"tokenizer", "data", "tokenizer-training", "tokenizer/default"},
    {"tok-eval", "tokenizer", "tokenizer-evaluation", ""},
    {"base", "data tokenizer", "base-model-training", "runs/base/{tag}", true},
    {"eval-loss", "base", "base-model-loss", ""},
    {"eval-core", "base", "base-model-evaluation", ""},
    {"mid", "base", "midtraining", "runs/mid/{tag}", true},
    {"eval-mid", "mid", "chat-evaluation-mid", ""},
    {"sft", "mid", "chat-sft", "runs/sft/{tag}", true},
    {"eval-sft", "sft", "chat-evaluation-sft", ""},
    {"rl", "sft", "chat-rl", "runs/rl/{tag}", true},
    {"eval-rl", "rl", "chat-evaluation-rl", ""},
    {"report", "", "", ""},
    {"data", "", "", ""},  // and all that begin so: their output is the data set's folder
}};

/// A line of a preset. {data} stands for the texts, {tag} for the preset's name, {base} for the
/// base folder.
struct PresetStage {
  std::string_view name;
  std::string command;
  double tokens = 0;      ///< trained on, about; base's come from its flags
  bool optional = false;  ///< with --rl only
};

struct Preset {
  PresetInfo info;
  bool for_gpu = false;
  std::string_view data;  ///< the folder of texts, below the base folder's data/
  std::vector<PresetStage> stages;
};

// ---------------------------------------------------------------------------------------------
// The presets. Sizes are tuned here and nowhere else.

/// A model of the synthetic world in under 20 minutes on two cores.
std::vector<PresetStage> small_world(const std::string& synth, std::string_view prompts) {
  const auto exam = [](std::string_view stage) {
    return fmt::format(
        "eval chat {}:{{tag}} --task world,world-calculator:200,spelling-bee:150 "
        "--max-new-tokens 220",
        stage);
  };
  return {
      {"data", synth},
      {"tokenizer", "tok train --vocab-size 4096 --data {data}"},
      {"tok-eval", "tok eval"},
      {"base",
       fmt::format("train base --run {{tag}} --data {{data}} --depth 4 --sequence-len 256 "
                   "--device-batch-size 16 --total-batch-size 4096 --num-iterations 500 "
                   "--eval-every 100 --eval-tokens 100000 --sample-every 100 --save-every 50 "
                   "--keep 2 --sample-prompt {}",
                   prompts)},
      {"eval-loss", "eval loss base:{tag} --device-batch-size 16 --split-tokens 100000"},
      {"mid",
       "train mid --source base:{tag} --run {tag} --mixture world-chat:train:5000 "
       "world-calculator:train:800 spelling-bee:train:1200 simple-spelling:train:1500 identity*2 "
       "--val world-chat:test:200 --device-batch-size 16 --total-batch-size 4096 --eval-every 50 "
       "--eval-tokens 50000 --sample-tokens 64 --save-every 25 --keep 2",
       6e5},
      {"eval-mid", exam("mid")},
      // Nothing of World-Calculator, whose answers end in a way of their own: that is left to RL.
      {"sft",
       "train sft --source mid:{tag} --run {tag} --mixture world:train:8000 "
       "world-spelling:train:2000 spelling-bee:train:1000 identity --val world-chat:test:200 "
       "--packing bestfit --device-batch-size 16 --total-batch-size 4096 --init-lr-frac 0.5 "
       "--eval-every 50 --eval-tokens 50000 --sample-tokens 64 --save-every 25 --keep 2",
       4.5e5},
      {"eval-sft", exam("sft")},
      {"rl",
       "train rl --source sft:{tag} --run {tag} --task world-calculator:train:4000 "
       "--eval-task world-calculator:test:200 --examples-per-step 16 --num-samples 8 "
       "--max-new-tokens 64 --num-iterations 40 --init-lr-frac 0.08 --device-batch-size 16 "
       "--eval-every 20 --eval-examples 200 --eval-samples 1 --save-every 10 --keep 2",
       2e5},
      {"eval-rl", exam("rl")},
      {"report", "report"},
  };
}

/// Upstream's classic scripts differ in depth, shards, text for the tokenizer and batch: 20 tokens
/// for each parameter, 4.8 characters for each token, 250 million characters in a shard, and some
/// to spare. Mid and SFT train on their default mixtures, upstream's.
std::vector<PresetStage> classic(int depth, int shards, std::string_view tokenizer_chars,
                                 int device_batch) {
  return {
      {"data", fmt::format("data download fineweb-edu-100b -n {}", shards)},
      {"data-core", "data download core-eval-bundle"},
      {"data-arc", "data download arc"},
      {"data-mmlu", "data download mmlu"},
      {"data-gsm8k", "data download gsm8k"},
      {"data-humaneval", "data download humaneval"},
      {"data-smoltalk", "data download smol-smoltalk"},
      {"data-words", "data download words"},
      {"data-identity", "data download identity"},
      {"tokenizer", fmt::format("tok train --data {{data}} --split train --max-chars {} "
                                "--vocab-size 65536",
                                tokenizer_chars)},
      {"tok-eval", "tok eval"},
      {"base", fmt::format("train base --run {{tag}} --data {{data}} --depth {} "
                           "--device-batch-size {} --save-every 1000 --keep 2",
                           depth, device_batch)},
      {"eval-loss", fmt::format("eval loss base:{{tag}} --device-batch-size {}", device_batch)},
      {"eval-core", "eval core base:{tag}"},
      {"mid",
       fmt::format("train mid --source base:{{tag}} --run {{tag}} --device-batch-size "
                   "{} --save-every 200 --keep 2",
                   device_batch),
       4.3e8},
      {"eval-mid", "eval chat mid:{tag}"},
      {"sft", "train sft --source mid:{tag} --run {tag} --save-every 200 --keep 2", 1e7},
      {"eval-sft", "eval chat sft:{tag}"},
      {"rl", "train rl --source sft:{tag} --run {tag} --task gsm8k:train --keep 2", 3e7, true},
      {"eval-rl", "eval chat rl:{tag} --task gsm8k", 0, true},
      {"report", "report"},
  };
}

/// Real text on a CPU: pretraining as upstream's modern runcpu (about half an hour on a fast
/// laptop), then short stages of the classic one. It will know that Paris is in France.
std::vector<PresetStage> cpu() {
  return {
      {"data", "data download fineweb-edu-100b -n 8"},
      {"data-core", "data download core-eval-bundle"},
      {"data-arc", "data download arc"},
      {"data-gsm8k", "data download gsm8k"},
      {"data-smoltalk", "data download smol-smoltalk"},
      {"tokenizer",
       "tok train --data {data} --split train --max-chars 1000000000 --vocab-size 32768"},
      {"tok-eval", "tok eval"},
      {"base",
       "train base --run {tag} --data {data} --depth 6 --sequence-len 512 --device-batch-size 32 "
       "--total-batch-size 16384 --num-iterations 5000 --eval-every 100 --eval-tokens 524288 "
       "--sample-every 100 --save-every 100 --keep 2"},
      {"eval-loss", "eval loss base:{tag} --device-batch-size 32 --split-tokens 524288"},
      {"eval-core", "eval core base:{tag} --max-per-task 16"},
      {"mid",
       "train mid --source base:{tag} --run {tag} --mixture smoltalk:train gsm8k:train identity*2 "
       "simple-spelling:2000 spelling-bee:2000 --val smoltalk:test --device-batch-size 32 "
       "--total-batch-size 16384 --num-iterations 300 --eval-every 100 --eval-tokens 262144 "
       "--save-every 100 --keep 2",
       4.9e6},
      {"eval-mid",
       "eval chat mid:{tag} --task arc-easy,gsm8k,spelling-bee --max-problems 20 "
       "--max-new-tokens 128"},
      {"sft",
       "train sft --source mid:{tag} --run {tag} --mixture arc-easy:train gsm8k:train:1000 "
       "smoltalk:train:5000 identity simple-spelling:300 spelling-bee:300 --val smoltalk:test "
       "--device-batch-size 16 --num-iterations 200 --eval-every 100 --eval-tokens 131072 "
       "--save-every 50 --keep 2",
       2e6},
      {"eval-sft",
       "eval chat sft:{tag} --task arc-easy,gsm8k,spelling-bee --max-problems 20 "
       "--max-new-tokens 128"},
      {"report", "report"},
  };
}

const std::vector<Preset>& presets() {
  static const std::vector<Preset> all = {
      {{"tiny", "the synthetic world, offline: under 20 minutes on 2 cores"},
       false,
       "synth",
       small_world("data synth", "\"Question: What is 3 plus 4?\" \"Once upon a time\" 从前")},
      {{"cpu", "real text on a CPU: hours"}, false, "fineweb-edu-100b", cpu()},
      {{"d20", "upstream's speedrun: about 4 hours on 8 H100s, $100"},
       true,
       "fineweb-edu-100b",
       classic(20, 240, "2000000000", 32)},
      {{"d26", "about GPT-2: about 12 hours on 8 H100s, $300"},
       true,
       "fineweb-edu-100b",
       classic(26, 450, "2000000000", 16)},
      {{"d32", "upstream's run1000: about 33 hours on 8 H100s, $800"},
       true,
       "fineweb-edu-100b",
       classic(32, 800, "4000000000", 8)},
      {{"chinese", "tiny in Chinese alone; with --data, on your own Chinese text"},
       false,
       "synth",
       small_world("data synth --language zh", "问题：3加4等于几？ 从前")},
  };
  return all;
}
// ---------------------------------------------------------------------------------------------

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false, any = false;
  for (const char c : text) {
    if (c == '"') {
      quoted = !quoted;
      any = true;
    } else if (c == ' ' && !quoted) {
      if (any) words.push_back(word);
      word.clear();
      any = false;
    } else {
      word += c;
      any = true;
    }
  }
  if (any) words.push_back(word);
  return words;
}

void replace_all(std::string& text, std::string_view what, std::string_view by) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
}

bool is_data(std::string_view stage) { return stage.starts_with("data"); }

const StageKind& kind_of(std::string_view stage) {
  const auto* const found = std::ranges::find_if(kKinds, [&](const StageKind& kind) {
    return kind.name == (is_data(stage) ? std::string_view("data") : stage);
  });
  NC_CHECK(found != kKinds.end(), "no kind of stage '{}'", stage);
  return *found;
}

/// The folder that a data command fills: of the data set that it names, or --out's.
std::string data_folder(const std::vector<std::string>& command, std::string_view corpus) {
  return fmt::format("data/{}", command[1] == "download" ? std::string_view(command[2]) : corpus);
}

/// The number behind a flag.
std::optional<double> flag(const SpeedrunStage& stage, std::string_view name) {
  const auto found = std::ranges::find(stage.command, name);
  if (found == stage.command.end() || found + 1 == stage.command.end()) return std::nullopt;
  return std::strtod((found + 1)->c_str(), nullptr);
}

int64_t whole(const SpeedrunStage& stage, std::string_view name, int64_t otherwise) {
  return static_cast<int64_t>(flag(stage, name).value_or(static_cast<double>(otherwise)));
}

/// Pretraining as its command has it.
PlanOptions base_options(const SpeedrunPlan& plan) {
  PlanOptions options;
  for (const SpeedrunStage& stage : plan.stages) {
    if (stage.name == "tokenizer") options.vocab_size = whole(stage, "--vocab-size", 65536);
    if (stage.name != "base") continue;
    options.depth = whole(stage, "--depth", 20);
    options.sequence_len = whole(stage, "--sequence-len", 2048);
    options.device_batch_size = whole(stage, "--device-batch-size", 32);
    options.total_batch_size = whole(stage, "--total-batch-size", 524288);
    options.num_iterations = whole(stage, "--num-iterations", -1);
  }
  return options;
}

SpeedrunStage make_stage(const PresetStage& line, const Preset& preset,
                         const std::vector<std::string>& data) {
  const StageKind& kind = kind_of(line.name);
  SpeedrunStage stage{.name = std::string(line.name),
                      .command = {},
                      .needs = words_of(kind.needs),
                      .section = std::string(kind.section),
                      .output = std::string(kind.output),
                      .trains = kind.trains,
                      .tokens = line.tokens};
  for (std::string& word : words_of(line.command)) {
    if (word == "{data}") {
      stage.command.insert(stage.command.end(), data.begin(), data.end());
      continue;
    }
    replace_all(word, "{tag}", preset.info.name);
    stage.command.push_back(std::move(word));
  }
  replace_all(stage.output, "{tag}", preset.info.name);
  if (is_data(line.name)) stage.output = data_folder(stage.command, preset.data);
  return stage;
}

}  // namespace

std::span<const PresetInfo> speedrun_presets() {
  static const std::vector<PresetInfo> infos = [] {
    std::vector<PresetInfo> list;
    for (const Preset& preset : presets()) list.push_back(preset.info);
    return list;
  }();
  return infos;
}

SpeedrunPlan make_speedrun_plan(const SpeedrunChoice& choice) {
  const auto preset = std::ranges::find_if(
      presets(), [&](const Preset& p) { return p.info.name == choice.preset; });
  if (preset == presets().end()) {
    std::vector<std::string_view> names;
    for (const PresetInfo& info : speedrun_presets()) names.push_back(info.name);
    throw UsageError("--preset {}: there are {}", choice.preset, fmt::join(names, ", "));
  }
  SpeedrunPlan plan{.preset = choice.preset,
                    .what = std::string(preset->info.what),
                    .for_gpu = preset->for_gpu,
                    .base = {},
                    .stages = {},
                    .chat_model = {}};
  const std::vector<std::string> data =
      choice.data.empty() ? std::vector<std::string>{fmt::format("{{base}}/data/{}", preset->data)}
                          : choice.data;
  for (const PresetStage& line : preset->stages) {
    if (line.optional && !choice.rl) continue;
    if (line.name == "data" && !choice.data.empty()) continue;
    plan.stages.push_back(make_stage(line, *preset, data));
    if (kind_of(line.name).trains) plan.chat_model = fmt::format("{}:{}", line.name, choice.preset);
  }
  for (SpeedrunStage& stage : plan.stages) {  // without its own texts nobody needs them
    std::erase_if(stage.needs, [&](const std::string& need) {
      return std::ranges::find(plan.stages, need, &SpeedrunStage::name) == plan.stages.end();
    });
  }
  plan.base = base_options(plan);
  return plan;
}

std::string shell_text(std::span<const std::string> words) {
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty()) text += ' ';
    const bool plain =
        !word.empty() && word.find_first_of(" '\"\\$`*?[]<>|&;()#~!\n\t") == std::string::npos;
    if (plain) {
      text += word;
      continue;
    }
    std::string inside = word;
    replace_all(inside, "'", R"('\'')");
    text += fmt::format("'{}'", inside);
  }
  return text;
}

}  // namespace nanochat
