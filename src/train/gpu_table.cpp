#include "train/gpu_table.h"

#include <algorithm>
#include <cctype>

namespace nanochat {
namespace {

struct Row {
  std::string_view words;  // all of them must occur
  double peak_flops, bandwidth;
  int64_t gib;
};

// More special names come first. NVIDIA's and AMD's own figures for dense bf16.
constexpr Row kRows[] = {
    {"gb200", 2.5e15, 8.0e12, 186},    {"grace blackwell", 2.5e15, 8.0e12, 186},
    {"b200", 2.25e15, 8.0e12, 180},    {"b100", 1.8e15, 8.0e12, 180},
    {"h200 nvl", 836e12, 4.8e12, 140}, {"h200 pcie", 836e12, 4.8e12, 140},
    {"h200", 989e12, 4.8e12, 140},     {"h100 nvl", 835e12, 3.9e12, 94},
    {"h100 pcie", 756e12, 2.0e12, 80}, {"h100", 989e12, 3.35e12, 80},
    {"h800 nvl", 989e12, 3.35e12, 80}, {"h800 pcie", 756e12, 2.0e12, 80},
    {"h800", 756e12, 3.35e12, 80},     {"a100", 312e12, 2.0e12, 80},
    {"a800", 312e12, 2.0e12, 80},      {"a40", 149.7e12, 696e9, 45},
    {"a30", 165e12, 933e9, 24},        {"l40s", 362e12, 864e9, 45},
    {"l40-s", 362e12, 864e9, 45},      {"l40 s", 362e12, 864e9, 45},
    {"l4", 121e12, 300e9, 22},         {"mi355", 2.5e15, 8.0e12, 288},
    {"mi325", 1.3074e15, 6.0e12, 256}, {"mi300x", 1.3074e15, 5.3e12, 192},
    {"mi300a", 980.6e12, 5.3e12, 128}, {"mi250x", 383e12, 3.28e12, 128},
    {"mi250", 362.1e12, 3.28e12, 128}, {"5090", 209.5e12, 1.79e12, 32},
    {"4090", 165.2e12, 1.01e12, 24},   {"3090", 71e12, 936e9, 24},
};

bool has_all_words(std::string_view name, std::string_view words) {
  if (words == "l40 s")
    return name.find(words) != std::string_view::npos;  // one name, with a space
  while (!words.empty()) {
    const size_t space = words.find(' ');
    if (name.find(words.substr(0, space)) == std::string_view::npos) return false;
    words.remove_prefix(space == std::string_view::npos ? words.size() : space + 1);
  }
  return true;
}

}  // namespace

std::optional<GpuSpec> find_gpu(std::string_view name) {
  std::string lower(name);
  std::ranges::transform(lower, lower.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const Row& row : kRows) {
    if (!has_all_words(lower, row.words)) continue;
    return GpuSpec{.name = std::string(row.words),
                   .peak_flops = row.peak_flops,
                   .memory_bandwidth = row.bandwidth,
                   .memory_bytes = row.gib << 30};
  }
  return std::nullopt;
}

std::string known_gpus() {
  std::string names;
  for (const Row& row : kRows) {
    if (row.words.find(' ') != std::string_view::npos || row.words == "l40-s") continue;
    if (!names.empty()) names += ", ";
    names += row.words;
  }
  return names;
}

}  // namespace nanochat
