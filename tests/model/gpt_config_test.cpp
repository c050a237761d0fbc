#include "model/gpt_config.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace nanochat {
namespace {

TEST(GptConfigTest, CountsAreUpstreams) {
  struct Row {
    int64_t depth, vocab, params;
    double flops;  // at T = 2048
  };
  // spec/03-model.md, classic.
  for (const Row& row :
       {Row{4, 65536, 36700160, 144703488}, Row{8, 65536, 92274688, 0},
        Row{12, 65536, 185597952, 1.038090240e9}, Row{20, 65536, 560988160, 3.49175808e9},
        Row{26, 65536, 1081999360, 0}, Row{32, 65536, 1879048192, 1.207960e10}}) {
    const GptConfig c = GptConfig::from_depth(row.depth, row.vocab, 2048);
    EXPECT_EQ(c.num_params(), row.params) << row.depth;
    if (row.flops > 0) {
      EXPECT_NEAR(static_cast<double>(c.flops_per_token()), row.flops, 1e-6 * row.flops)
          << row.depth;
    }
  }
}

TEST(GptConfigTest, DepthIsTheOneDial) {
  const GptConfig c = GptConfig::from_depth(6, 32768, 512);
  EXPECT_EQ(c.n_embd, 384);
  EXPECT_EQ(c.n_head, 3);
  EXPECT_EQ(c.n_kv_head, 3);
  EXPECT_EQ(c.head_dim(), 128);
  EXPECT_EQ(c.padded_vocab_size(), 32768);
}

TEST(GptConfigTest, PaddingRoundsTheVocabularyUp) {
  GptConfig c;
  c.vocab_size = 50257;
  EXPECT_EQ(c.padded_vocab_size(), 50304);
  c.pad_vocab_to = 1;
  EXPECT_EQ(c.padded_vocab_size(), 50257);
}

TEST(GptConfigTest, WhatMakesNoSenseIsRefusedByName) {
  const auto message = [](auto change) -> std::string {
    GptConfig c;
    change(c);
    try {
      c.validate();
    } catch (const UsageError& e) {
      return e.what();
    }
    return "accepted";
  };
  EXPECT_EQ(message([](GptConfig&) {}), "accepted");
  EXPECT_EQ(message([](GptConfig& c) { c.n_layer = 0; }),
            "n_layer is 0, expected a positive number");
  EXPECT_NE(
      message([](GptConfig& c) { c.n_head = 5; }).find("n_embd 768 does not divide by n_head 5"),
      std::string::npos);
  EXPECT_NE(message([](GptConfig& c) { c.n_kv_head = 4; }).find("n_kv_head 4"), std::string::npos);
  EXPECT_NE(message([](GptConfig& c) { c.n_embd = 6 * 15; }).find("odd"), std::string::npos);
  EXPECT_NE(message([](GptConfig& c) { c.vocab_size = int64_t{1} << 60; }).find("vocab_size"),
            std::string::npos);
  EXPECT_NE(message([](GptConfig& c) { c.softcap = -1; }).find("softcap"), std::string::npos);
}

TEST(GptConfigTest, JsonRoundTripKeepsEveryField) {
  const GptConfig c{.sequence_len = 7,
                    .vocab_size = 9,
                    .n_layer = 3,
                    .n_head = 4,
                    .n_kv_head = 2,
                    .n_embd = 32,
                    .pad_vocab_to = 8,
                    .rope_base = 12345.5F,
                    .softcap = 20,
                    .rms_norm_eps = 1e-5F,
                    .qk_gain = 1.15F,
                    .window = 3};
  EXPECT_EQ(GptConfig::parse_json(c.to_json(), "test"), c);
}

TEST(GptConfigTest, JsonThatIsWrongIsNamed) {
  const auto message = [](const std::string& text) -> std::string {
    try {
      static_cast<void>(GptConfig::parse_json(text, "f"));
    } catch (const DataError& e) {
      return e.what();
    }
    return "accepted";
  };
  const std::string ok =
      R"({"sequence_len":8,"vocab_size":9,"n_layer":1,"n_head":2,"n_kv_head":2,"n_embd":8)";
  EXPECT_EQ(message(ok + "}"), "accepted");
  EXPECT_EQ(message("{"), "f: the model configuration is not JSON");
  EXPECT_EQ(message("[]"), "f: the model configuration is not JSON");
  EXPECT_EQ(message("{}"), "f: model configuration lacks sequence_len");
  EXPECT_NE(message(ok + R"(,"smear":1})").find("'smear' belongs to another architecture"),
            std::string::npos);
  EXPECT_NE(message(ok + R"(,"window":"L"})").find("window is not an integer"), std::string::npos);
  EXPECT_NE(message(ok + R"(,"softcap":-3})").find("softcap"), std::string::npos);
  EXPECT_NE(message(ok + R"(,"softcap":1e999})"), "accepted");
}

}  // namespace
}  // namespace nanochat
