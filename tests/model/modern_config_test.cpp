#include "model/modern_config.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/error.h"

namespace nanochat {
namespace {

TEST(ModernConfigTest, CountsByKindAreUpstreams) {
  struct Row {
    int64_t depth, total, matrices, value_embeds, table, scalars;
  };
  // Vocabulary 32768.
  for (const Row& row : {Row{4, 36700242, 3145776, 16777216, 8388608, 34},
                         Row{8, 125829354, 25166016, 67108864, 16777216, 42},
                         Row{12, 286261730, 84935088, 150994944, 25165824, 50},
                         Row{20, 896533746, 393217200, 419430400, 41943040, 66},
                         Row{26, 1681786938, 863897580, 708837376, 54525952, 78}}) {
    SCOPED_TRACE(row.depth);
    const ParameterCounts counts = ModernConfig::from_depth(row.depth, 32768, 2048).num_params();
    EXPECT_EQ(counts.total(), row.total);
    EXPECT_EQ(counts.transformer_matrices, row.matrices);
    EXPECT_EQ(counts.value_embeds, row.value_embeds);
    EXPECT_EQ(counts.wte, row.table);
    EXPECT_EQ(counts.lm_head, row.table);
    EXPECT_EQ(counts.scalars, row.scalars);
  }
}

TEST(ModernConfigTest, AnOddDepthRoundsUpToWholeHeads) {
  const ModernConfig c = ModernConfig::from_depth(5, 32768, 2048);
  EXPECT_EQ(c.n_embd, 384);
  EXPECT_EQ(c.n_head, 3);
  EXPECT_TRUE(c.has_value_embedding(4));
  EXPECT_FALSE(c.has_value_embedding(3));
  EXPECT_EQ(c.num_params().value_embeds, 3 * 32768 * 384);
}

TEST(ModernConfigTest, ShortWindowsAreAQuarterInWholeBlocks) {
  const auto short_of = [](int64_t sequence_len) {
    return ModernConfig::from_depth(4, 100, sequence_len).window_sizes().front();
  };
  EXPECT_EQ(short_of(256), 128);
  EXPECT_EQ(short_of(512), 128);
  EXPECT_EQ(short_of(1024), 256);
  EXPECT_EQ(short_of(2048), 512);
  EXPECT_EQ(short_of(2049), 640);
  EXPECT_EQ(short_of(4096), 1024);
}

TEST(ModernConfigTest, TheLastLayerSeesAll) {
  ModernConfig c = ModernConfig::from_depth(5, 100, 2048, 64, 128, "sL");
  EXPECT_EQ(c.window_sizes(), (std::vector<int64_t>{512, 2048, 512, 2048, 2048}));
  c = ModernConfig::from_depth(5, 100, 2048, 64, 128, "S");
  EXPECT_EQ(c.window_sizes(), (std::vector<int64_t>{512, 512, 512, 512, 2048}));
}

TEST(ModernConfigTest, WhatMakesNoSenseIsRefusedByName) {
  const auto message = [](auto change) -> std::string {
    ModernConfig c;
    change(c);
    try {
      c.validate();
    } catch (const UsageError& e) {
      return e.what();
    }
    return "accepted";
  };
  EXPECT_EQ(message([](ModernConfig&) {}), "accepted");
  EXPECT_NE(message([](ModernConfig& c) { c.window_pattern = "SXL"; }).find("'SXL'"),
            std::string::npos);
  EXPECT_NE(message([](ModernConfig& c) { c.window_pattern = ""; }).find("window pattern"),
            std::string::npos);
  EXPECT_NE(message([](ModernConfig& c) { c.vocab_size = 0; }).find("vocab_size"),
            std::string::npos);
  EXPECT_NE(message([](ModernConfig& c) { c.n_head = 5; }).find("n_head 5"), std::string::npos);
  EXPECT_NE(message([](ModernConfig& c) { c.n_kv_head = 4; }).find("n_kv_head 4"),
            std::string::npos);
  EXPECT_THROW(static_cast<void>(ModernConfig::from_depth(0, 100, 256)), UsageError);
  EXPECT_THROW(static_cast<void>(ModernConfig::from_depth(4, 100, 256, 64, 0)), UsageError);
}

}  // namespace
}  // namespace nanochat
