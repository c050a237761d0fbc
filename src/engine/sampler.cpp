#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "core/error.h"

namespace nanochat {
namespace {

/// The k-th largest, or less than all when every token may be drawn.
float threshold(std::span<const float> logits, int64_t top_k) {
  if (top_k <= 0 || top_k >= std::ssize(logits)) return -std::numeric_limits<float>::infinity();
  std::vector<float> sorted(logits.begin(), logits.end());
  const auto kth = sorted.begin() + (top_k - 1);
  std::nth_element(sorted.begin(), kth, sorted.end(), std::greater<>());
  return *kth;
}

std::vector<float> penalized(std::span<const float> logits, double penalty,
                             std::span<const int32_t> past) {
  std::vector<float> y(logits.begin(), logits.end());
  const auto factor = static_cast<float>(penalty);
  for (const int32_t id : past) {  // from `logits`, so that twice there is not twice punished
    const float x = logits[static_cast<size_t>(id)];
    y[static_cast<size_t>(id)] = x > 0 ? x / factor : x * factor;
  }
  return y;
}

struct Candidate {
  int32_t id;
  double weight;  // 1 for the most likely
};

/// Keeps the fewest most likely whose weights reach top_p of the sum. Of equals the lower id stays.
void keep_top_p(std::vector<Candidate>& candidates, double top_p) {
  double sum = 0;
  for (const Candidate& c : candidates) sum += c.weight;
  const auto less = [](const Candidate& a, const Candidate& b) {
    return a.weight != b.weight ? a.weight < b.weight : a.id > b.id;
  };
  // A heap: usually a few of many are taken.
  std::ranges::make_heap(candidates, less);
  auto end = candidates.end();
  for (double taken = 0; end != candidates.begin() && taken < top_p * sum; --end) {
    std::pop_heap(candidates.begin(), end, less);
    taken += (end - 1)->weight;
  }
  candidates.erase(candidates.begin(), end);
  std::ranges::sort(candidates, {}, &Candidate::id);
}

double log_sum_exp(std::span<const float> logits, float largest) {
  double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<double>(x) - largest);
  return static_cast<double>(largest) + std::log(sum);
}

}  // namespace

void SamplingOptions::validate() const {
  if (!(temperature >= 0 && temperature <= 100)) {
    throw UsageError("temperature {}: expected 0 (the most likely token) to 100", temperature);
  }
  if (top_k < 0) throw UsageError("top-k {}: expected 0 (all tokens) or more", top_k);
  if (!(top_p > 0 && top_p <= 1)) {
    throw UsageError("top-p {}: expected more than 0, at most 1", top_p);
  }
  if (!(min_p >= 0 && min_p <= 1)) throw UsageError("min-p {}: expected 0 to 1", min_p);
  if (!(repetition_penalty > 0 && repetition_penalty <= 100)) {
    throw UsageError("repetition penalty {}: expected more than 0, at most 100; 1 is none",
                     repetition_penalty);
  }
}

int32_t sample_next_token(std::span<const float> logits, const SamplingOptions& options,
                          const RandomStream& random, int64_t index,
                          std::span<const int32_t> past) {
  std::vector<float> changed;
  if (options.repetition_penalty != 1.0 && !past.empty()) {
    changed = penalized(logits, options.repetition_penalty, past);
    logits = changed;
  }
  const auto best = std::ranges::max_element(logits);
  if (!std::isfinite(*best)) {
    throw NumericError("the model's logits are not finite: its weights are broken");
  }
  if (options.temperature <= 0) return static_cast<int32_t>(best - logits.begin());

  const float least = threshold(logits, options.top_k);
  std::vector<Candidate> candidates;
  candidates.reserve(options.top_k > 0 ? static_cast<size_t>(options.top_k) : logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!(logits[i] >= least)) continue;
    const double weight = std::exp((static_cast<double>(logits[i]) - static_cast<double>(*best)) /
                                   options.temperature);
    if (weight > 0 && weight >= options.min_p) {
      candidates.push_back({static_cast<int32_t>(i), weight});
    }
  }
  if (options.top_p < 1) keep_top_p(candidates, options.top_p);

  double sum = 0;
  for (const Candidate& c : candidates) sum += c.weight;
  double left = static_cast<double>(random.uniform(index)) * sum;
  for (const Candidate& c : candidates) {
    if (left < c.weight) return c.id;
    left -= c.weight;
  }
  return static_cast<int32_t>(best - logits.begin());  // rounding left a crumb
}

std::vector<TokenLogprob> top_logprobs(std::span<const float> logits, int64_t n) {
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  n = std::min(n, std::ssize(ids));
  std::ranges::partial_sort(ids, ids.begin() + n, [&](int32_t a, int32_t b) {
    const float x = logits[static_cast<size_t>(a)], y = logits[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  });
  std::vector<TokenLogprob> top;
  if (n == 0) return top;
  const double log_sum = log_sum_exp(logits, logits[static_cast<size_t>(ids[0])]);
  for (int64_t i = 0; i < n; ++i) {
    const int32_t id = ids[static_cast<size_t>(i)];
    top.push_back({id, static_cast<float>(logits[static_cast<size_t>(id)] - log_sum)});
  }
  return top;
}

float logprob_of(std::span<const float> logits, int32_t id) {
  const float largest = *std::ranges::max_element(logits);
  return static_cast<float>(logits[static_cast<size_t>(id)] - log_sum_exp(logits, largest));
}

}  // namespace nanochat
