#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

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

}  // namespace

int32_t sample_next_token(std::span<const float> logits, const SamplingOptions& options,
                          const RandomStream& random, int64_t index) {
  const auto best = std::ranges::max_element(logits);
  if (options.temperature <= 0) return static_cast<int32_t>(best - logits.begin());
  const float least = threshold(logits, options.top_k);
  const auto weight = [&](float logit) {
    return logit < least ? 0.0
                         : std::exp((static_cast<double>(logit) - static_cast<double>(*best)) /
                                    options.temperature);
  };
  double sum = 0;
  for (const float logit : logits) sum += weight(logit);
  double left = static_cast<double>(random.uniform(index)) * sum;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double w = weight(logits[i]);
    if (w > 0 && left < w) return static_cast<int32_t>(i);
    left -= w;
  }
  return static_cast<int32_t>(best - logits.begin());  // rounding left a crumb
}

}  // namespace nanochat
