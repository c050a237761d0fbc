#include "train/plan_text.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <vector>

#include <fmt/format.h>

#include "core/progress.h"

namespace nanochat {
namespace {

std::string seq(int64_t n) {
  return fmt::format("{} sequence{}", with_commas(n), n == 1 ? "" : "s");
}

std::string times(double x) { return fmt::format("{:.{}f}", x, x < 9.95 ? 1 : 0); }

/// "8 x h100", "this CPU".
std::string devices(const PlanDevice& d) {
  return d.is_gpu ? fmt::format("{} x {}", d.count, d.name) : "this CPU";
}

/// "bf16 at 50 % of 989 TFLOP/s each", "... of the 152 GFLOP/s of its GEMM".
std::string speed(const PlanDevice& d) {
  const double percent = 100 * d.mfu;
  if (d.is_gpu) {
    return fmt::format("{:.3g} % of {:.4g} TFLOP/s each (MFU)", percent, d.peak_flops / 1e12);
  }
  return fmt::format("{:.3g} % of its {:.4g} GFLOP/s in products of matrices", percent,
                     d.peak_flops / 1e9);
}

constexpr const char* kSpeedHint =
    "not known: --measure times this CPU, --gflops N states it, --gpu h100 plans for a GPU";

class Lines {
 public:
  void heading(const std::string& text) {
    out_ += text;
    out_ += '\n';
  }
  /// The value right-aligned, the note after it.
  void row(const std::string& label, const std::string& value, const std::string& note = "") {
    std::string line = fmt::format("  {:<22}{:>16}", label, value);
    if (!note.empty()) line += fmt::format("  {}", note);
    out_ += line;
    out_ += '\n';
  }
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

void add_model(const Plan& p, Lines& lines) {
  const PlanOptions& o = p.options;
  lines.heading(fmt::format(
      "depth {}, {} recipe: {} heads of {}, {} channels; vocabulary {}, context {} tokens", o.depth,
      name_of(o.recipe), p.n_head, p.head_dim, with_commas(p.n_embd), with_commas(o.vocab_size),
      with_commas(o.sequence_len)));
  lines.heading("\nparameters");
  lines.row("wte", with_commas(p.params.wte), "token embedding");
  if (p.params.value_embeds > 0) {
    lines.row("value_embeds", with_commas(p.params.value_embeds), "of every other layer");
  }
  lines.row("lm_head", with_commas(p.params.lm_head), "back to tokens");
  lines.row("transformer_matrices", with_commas(p.params.transformer_matrices),
            "attention and MLP");
  if (p.params.scalars > 0)
    lines.row("scalars", with_commas(p.params.scalars), "lambdas and gates");
  lines.row("total", with_commas(p.params.total()));
}

void add_training(const Plan& p, Lines& lines) {
  const PlanOptions& o = p.options;
  lines.heading("\ntraining");
  lines.row("tokens", with_commas(p.total_tokens),
            fmt::format("{:.4g} for each of {} parameters{}", p.tokens_per_param,
                        with_commas(p.scaling_params),
                        o.recipe == Recipe::kModern ? " (matrices and lm_head)" : ""));
  lines.row("tokens a step", with_commas(p.total_batch_size),
            fmt::format("{} x {} tokens{} x {} micro-batch{}", seq(o.device_batch_size),
                        with_commas(o.sequence_len),
                        p.device.count > 1 ? fmt::format(" x {} devices", p.device.count) : "",
                        p.grad_accum_steps, p.grad_accum_steps == 1 ? "" : "es"));
  lines.row("steps", with_commas(p.num_iterations));
  lines.row("FLOPs", fmt::format("{:.3e}", p.total_flops),
            fmt::format("{:.4g} G for each token", static_cast<double>(p.flops_per_token) / 1e9));
}

void add_memory(const Plan& p, Lines& lines) {
  const PlanOptions& o = p.options;
  const MemoryPlan& m = p.memory;
  const auto size = [](int64_t bytes) { return binary_size(static_cast<double>(bytes)); };
  lines.heading(fmt::format("\nmemory of {}, {}, {} at a time{}",
                            p.device.is_gpu ? fmt::format("each {}", p.device.name) : "this CPU",
                            name_of(p.device.dtype), seq(o.device_batch_size),
                            o.recipe == Recipe::kModern ? " (an estimate)" : ""));
  lines.row("weights", size(m.weights));
  lines.row("gradients", size(m.gradients));
  lines.row("optimizer state", size(m.optimizer_state),
            p.device.count > 1 ? fmt::format("shared by {}", p.device.count) : "");
  lines.row("activations", size(m.activations),
            o.activation_checkpointing ? "with activation checkpointing"
                                       : fmt::format("{} with --activation-checkpointing",
                                                     size(p.memory_checkpointing.activations)));
  lines.row("loss and backward", size(m.workspace), "workspace");
  lines.row("program", size(m.program), "code, libraries, kernels' scratch: an allowance");
  std::string fits;
  if (p.device.memory_bytes > 0) {
    fits = fmt::format("{} in {}", p.fits ? "fits" : "does NOT fit", size(p.device.memory_bytes));
  }
  lines.row("total", size(m.total()), fits);
  if (p.largest_device_batch < 0) return;
  lines.row("largest batch",
            with_commas(o.activation_checkpointing ? p.largest_device_batch_checkpointing
                                                   : p.largest_device_batch),
            o.activation_checkpointing
                ? "sequences of one step that fit, with activation checkpointing"
                : fmt::format("sequences of one step that fit; with --activation-checkpointing {}",
                              p.largest_device_batch_checkpointing));
}

void add_data(const Plan& p, Lines& lines) {
  const PlanOptions& o = p.options;
  lines.heading(fmt::format("\ndata, {}", p.corpus.name));
  lines.row("characters", fmt::format("{:.2f} G", p.chars / 1e9),
            fmt::format("{:.3g} a token{}", o.chars_per_token,
                        p.corpus.used_share < 1
                            ? fmt::format("; {:.0f} % of the tokens are lost to packing",
                                          100 * (1 - p.corpus.used_share))
                            : ""));
  lines.row("shards", with_commas(p.shards),
            fmt::format("of 250 M characters, and one for validation: about {:.3g} GB to download",
                        p.download_bytes / 1e9));
  if (p.epochs > 1) {
    lines.row("passes", times(p.epochs),
              fmt::format("over all {} there are", with_commas(p.corpus.train_shards)));
  }
}

void add_time(const Plan& p, Lines& lines) {
  lines.heading(fmt::format("\ntime on {}", devices(p.device)));
  if (p.seconds <= 0) {
    lines.row("training steps", "?", kSpeedHint);
    return;
  }
  lines.row("training steps", duration(p.seconds), speed(p.device));
  lines.row("tokens a second",
            with_commas(static_cast<int64_t>(static_cast<double>(p.total_tokens) / p.seconds)));
  if (p.cost > 0) {
    lines.row("cost", dollars(p.cost),
              fmt::format("at {} an hour for each", dollars(p.device.price_per_hour)));
  }
}

// ---- the table

using Row = std::vector<std::string>;

std::string short_count(double n) {
  constexpr const char* kUnits[] = {"", " k", " M", " G", " T"};
  size_t unit = 0;
  while (n >= 999.5 && unit + 1 < std::size(kUnits)) {
    n /= 1000;
    ++unit;
  }
  return fmt::format("{:.{}f}{}", n,
                     unit == 0 || n >= 99.95 ? 0
                     : n >= 9.995            ? 1
                                             : 2,
                     kUnits[unit]);
}

std::string fitting_batch(const Plan& p) {
  const int64_t plain = p.largest_device_batch,
                checkpointing = p.largest_device_batch_checkpointing;
  if (plain < 0) return "?";
  return fmt::format("{}/{}", plain, checkpointing);
}

Row table_row(const Plan& p) {
  Row row{fmt::format("d{}", p.options.depth),
          with_commas(p.n_embd),
          short_count(static_cast<double>(p.params.total())),
          short_count(static_cast<double>(p.total_tokens)),
          with_commas(p.total_batch_size),
          with_commas(p.grad_accum_steps),
          with_commas(p.num_iterations),
          fmt::format("{:.2e}", p.total_flops),
          binary_size(static_cast<double>(p.memory.total())) + (p.fits ? " " : "!"),
          fitting_batch(p),
          with_commas(p.shards),
          p.seconds > 0 ? duration(p.seconds) : "?"};
  if (p.cost > 0) row.push_back(dollars(p.cost));
  return row;
}

std::string aligned(const std::vector<Row>& rows) {
  std::vector<size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += fmt::format("{}{:>{}}", i == 0 ? "" : "  ", row[i], widths[i]);
    }
    out += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
  }
  return out;
}

}  // namespace

std::string with_commas(int64_t n) {
  std::string digits = fmt::format("{}", n);
  const size_t first = n < 0 ? 1 : 0;
  for (size_t at = digits.size(); at > first + 3;) digits.insert(at -= 3, 1, ',');
  return digits;
}

std::string duration(double seconds) {
  constexpr double kMinute = 60, kHour = 3600, kDay = 86400, kYear = 365.25 * kDay;
  if (seconds < kMinute) return fmt::format("{} s", times(seconds));
  if (seconds < kHour) return fmt::format("{} min", times(seconds / kMinute));
  if (seconds < 2 * kDay) return fmt::format("{} h", times(seconds / kHour));
  if (seconds < 2 * kYear) return fmt::format("{} days", times(seconds / kDay));
  const double years = seconds / kYear;
  return years < 1000 ? fmt::format("{} years", times(years)) : fmt::format("{:.2g} years", years);
}

std::string dollars(double amount) {
  if (amount < 9.995) return fmt::format("${:.2f}", amount);
  if (amount >= 1e15) return fmt::format("${:.2g}", amount);
  return fmt::format("${}", with_commas(std::llround(amount)));
}

std::string plan_text(const Plan& plan) {
  Lines lines;
  add_model(plan, lines);
  add_training(plan, lines);
  add_memory(plan, lines);
  add_data(plan, lines);
  add_time(plan, lines);
  return lines.take();
}

std::string plan_table(std::span<const Plan> plans) {
  const Plan& first = plans.front();
  const PlanOptions& o = first.options;
  std::vector<Row> rows{{"depth", "channels", "params", "tokens", "tokens/step", "accum", "steps",
                         "FLOPs", "memory ", "fit", "shards", "time"}};
  if (std::ranges::any_of(plans, [](const Plan& p) { return p.cost > 0; })) {
    rows[0].emplace_back("cost");
  }
  for (const Plan& p : plans) rows.push_back(table_row(p));
  const bool all_fit = std::ranges::all_of(plans, [](const Plan& p) { return p.fits; });

  const PlanDevice& d = first.device;
  std::string out =
      fmt::format("{} recipe on {}, {}; vocabulary {}, context {} tokens, {} at a time{}\n\n{}\n",
                  name_of(o.recipe), devices(d), name_of(d.dtype), with_commas(o.vocab_size),
                  with_commas(o.sequence_len), seq(o.device_batch_size),
                  d.count > 1 ? " on each device" : "", aligned(rows));
  const auto note = [&out](const std::string& name, const std::string& text) {
    fmt::format_to(std::back_inserter(out), "{:<8} {}\n", name, text);
  };
  note("accum", "micro-batches whose gradients add up to one step");
  note("memory", fmt::format("of each device{}{}",
                             d.memory_bytes > 0
                                 ? fmt::format(", which has {}",
                                               binary_size(static_cast<double>(d.memory_bytes)))
                                 : "",
                             all_fit ? "" : "; ! does not fit: lower --device-batch-size"));
  note("fit", "most sequences at a time that fit / with --activation-checkpointing");
  note("shards",
       fmt::format("of {}, about 100 MB each, and one more for validation", first.corpus.name));
  note("time", first.seconds > 0
                   ? fmt::format("training steps alone, at {}{}", speed(d),
                                 first.cost > 0 ? fmt::format(", {} an hour for each",
                                                              dollars(d.price_per_hour))
                                                : "")
                   : kSpeedHint);
  return out;
}

}  // namespace nanochat
