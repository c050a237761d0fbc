/// The real files of CORE, and a model that knows nothing.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/small_model.h"
#include "eval/core.h"
#include "support/backends.h"
#include "support/fixtures.h"
#include "tokenizer/small_vocabulary.h"

namespace nanochat::test {

class CoreFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(folder_)) GTEST_SKIP() << missing_data("core");
  }
  CoreResult evaluate(const std::vector<std::string>& labels, int64_t max_per_task) {
    // Texts are many tokens of this vocabulary: only their ends are looked at.
    return evaluate_core(*model_, tokenizer_, select_core_tasks(read_core_tasks(folder_), labels),
                         {.max_per_task = max_per_task, .max_tokens = 256});
  }

  const std::filesystem::path folder_ = data_dir() / "core";
  const Tokenizer tokenizer_{small_vocabulary()};
  std::unique_ptr<Gpt> model_ =
      random_model(small_config(), cpu_backend(), DType::kF32, WeightFormat::kBf16);
};

}  // namespace nanochat::test
