/// Commands that measure: nanochat bench infer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/commands.h"

namespace nanochat::cli {

struct BenchInferOptions {
  std::string model;
  int64_t depth = 0;  ///< > 0: an untrained model of so many layers in place of `model`
  int64_t vocab_size = 32768;
  int64_t prompt_tokens = 512;
  int64_t decode_tokens = 64;
  std::vector<int64_t> batch_sizes{1, 2, 4, 8, 16, 32, 64};
  std::string device = "auto";
  std::string dtype = "auto";
  std::string quantize = "none";
};
void run_bench_infer(const CommonOptions& common, const BenchInferOptions& options);

}  // namespace nanochat::cli
