#include "tokenizer/tok_eval.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <limits>

#include <fmt/format.h>

#include "core/error.h"
#include "core/progress.h"
#include "tokenizer/utf8.h"

namespace nanochat {
namespace {

double ratio(double a, double b) noexcept { return b == 0 ? 0 : a / b; }

/// `text` padded to a width of terminal columns; the names of texts and tokenizers may be Chinese,
/// whose characters are two columns wide, and fmt counts those right.
std::string left(std::string_view text, int width) { return fmt::format("{:<{}}", text, width); }

enum class Winner : uint8_t { kBaseline, kOurs, kTie };

Winner winner(const EvalRow& baseline, const EvalRow& ours) {
  if (baseline.tokens == ours.tokens) return Winner::kTie;
  return ours.tokens < baseline.tokens ? Winner::kOurs : Winner::kBaseline;
}

void check_same_texts(const EvalResult& a, const EvalResult& b) {
  NC_CHECK(std::ranges::equal(a.rows, b.rows,
                              [](const EvalRow& x, const EvalRow& y) {
                                return x.name == y.name && x.bytes == y.bytes;
                              }),
           "{} and {} were not evaluated on the same texts", a.name, b.name);
}

}  // namespace

double EvalRow::bytes_per_token() const noexcept {
  return ratio(static_cast<double>(bytes), static_cast<double>(tokens));
}
double EvalRow::characters_per_token() const noexcept {
  return ratio(static_cast<double>(characters), static_cast<double>(tokens));
}
double EvalRow::tokens_per_second() const noexcept {
  return ratio(static_cast<double>(tokens), seconds);
}

std::vector<EvalRow> evaluate(const Tokenizer& tokenizer, std::span<const EvalText> texts,
                              double seconds_per_text) {
  using Clock = std::chrono::steady_clock;
  using Seconds = std::chrono::duration<double>;
  std::vector<EvalRow> rows;
  std::vector<int32_t> ids;
  for (const EvalText& text : texts) {
    EvalRow row{.name = text.name,
                .bytes = static_cast<int64_t>(text.text.size()),
                .characters = static_cast<int64_t>(utf8::count(text.text)),
                .seconds = std::numeric_limits<double>::infinity()};
    const Clock::time_point start = Clock::now();
    do {
      const Clock::time_point before = Clock::now();
      ids.clear();
      tokenizer.encode_to(text.text, ids);
      row.seconds = std::min(row.seconds, Seconds(Clock::now() - before).count());
    } while (Seconds(Clock::now() - start).count() < seconds_per_text);
    row.tokens = static_cast<int64_t>(ids.size());
    NC_CHECK(tokenizer.decode_bytes(ids) == text.text, "{} did not come back", text.name);
    rows.push_back(std::move(row));
  }
  return rows;
}

double relative_difference_percent(const EvalRow& baseline, const EvalRow& ours) {
  return 100 * ratio(static_cast<double>(baseline.tokens - ours.tokens),
                     static_cast<double>(baseline.tokens));
}

std::string eval_table(const EvalResult& result) {
  std::string out =
      fmt::format("{}: {} tokens in the vocabulary\n\n", result.name, grouped(result.vocab_size));
  out += fmt::format("{:<14}{:>12}{:>12}{:>12}{:>13}{:>13}{:>15}\n", "Text type", "Bytes",
                     "Characters", "Tokens", "Bytes/token", "Chars/token", "Tokens/second");
  out += std::string(91, '-') + "\n";
  for (const EvalRow& row : result.rows) {
    out += left(row.name, 14) + fmt::format("{:>12}{:>12}{:>12}{:>13.2f}{:>13.2f}{:>15}\n",
                                            grouped(row.bytes), grouped(row.characters),
                                            grouped(row.tokens), row.bytes_per_token(),
                                            row.characters_per_token(),
                                            grouped(static_cast<int64_t>(row.tokens_per_second())));
  }
  return out;
}

std::string comparison_table(const EvalResult& baseline, const EvalResult& ours, bool colored) {
  check_same_texts(baseline, ours);
  constexpr std::string_view kGreen = "\x1b[92m", kRed = "\x1b[91m", kPlain = "\x1b[0m";
  const auto painted = [&](const std::string& text, bool better, bool tie) {
    if (!colored || tie) return text;
    return fmt::format("{}{}{}", better ? kGreen : kRed, text, kPlain);
  };
  const auto tokens_and_ratio = [](const EvalRow& row) {
    return fmt::format("{:<10}{:<8.2f}", row.tokens, row.bytes_per_token());
  };

  std::string out = fmt::format("Comparison with {}\n{}\n", baseline.name, std::string(95, '='));
  out += fmt::format("{:<14}{:<10}{}{:<18}{:<13}{}\n", "Text Type", "Bytes",
                     left(baseline.name, 18), ours.name, "Relative", "Better");
  out += fmt::format("{:<24}{:<10}{:<8}{:<10}{:<8}{}\n", "", "Tokens", "Ratio", "Tokens", "Ratio",
                     "Diff %");
  out += std::string(95, '-') + "\n";
  for (size_t i = 0; i < ours.rows.size(); ++i) {
    const EvalRow& theirs = baseline.rows[i];
    const EvalRow& own = ours.rows[i];
    const Winner best = winner(theirs, own);
    const bool tie = best == Winner::kTie;
    const std::string_view name = tie                     ? std::string_view("Tie")
                                  : best == Winner::kOurs ? std::string_view(ours.name)
                                                          : std::string_view(baseline.name);
    out += left(own.name, 14) + fmt::format("{:<10}", own.bytes) +
           painted(tokens_and_ratio(theirs), best == Winner::kBaseline, tie) +
           painted(tokens_and_ratio(own), best == Winner::kOurs, tie) +
           fmt::format("{:<13}{}\n",
                       fmt::format("{:+.1f}%", relative_difference_percent(theirs, own)), name);
  }
  return out;
}

}  // namespace nanochat
