// labels: parity
/// Tool use as upstream's engine does it, on upstream's scripts: at forward call k the model's most
/// likely token is script[k], also while a result is being forced.
#include <deque>

#include <gtest/gtest.h>

#include "engine/tool_state.h"
#include "engine/tools/calculator.h"
#include "support/fixtures.h"
#include "tokenizer/fixture_vocabulary.h"

namespace nanochat {
namespace {

using Ids = std::vector<int32_t>;

TEST(ToolStateParityTest, ColumnsMasksAndResultsAreUpstreams) {
  constexpr const char* kPattern = "engine/tool_use*.json";
  const auto paths = test::find_fixtures(kPattern);
  if (paths.empty()) GTEST_SKIP() << test::missing_fixture(kPattern);
  for (const std::filesystem::path& path : paths) {
    const nlohmann::json fixture = test::load_json(path);
    const std::string name = fixture.at("tokenizer");  // "nanochat_2048"
    const Tokenizer tokenizer(
        test::fixture_vocabulary(std::stoi(name.substr(name.rfind('_') + 1))));
    const ToolTokens tokens(tokenizer);
    const int32_t bos = tokenizer.bos_id(), end = tokenizer.special_id("<|assistant_end|>");
    for (const nlohmann::json& c : fixture.at("cases")) {
      SCOPED_TRACE(c.at("name").get<std::string>());
      const auto scripts = c.at("sampled_script").get<std::vector<Ids>>();
      const auto columns = c.at("token_columns").get<std::vector<Ids>>();
      const auto masks = c.at("mask_columns").get<std::vector<Ids>>();
      for (size_t row = 0; row < scripts.size(); ++row) {
        ToolState state;
        std::deque<int32_t> forced;
        Ids ids, mask;
        bool done = false;
        for (size_t k = 0; k < columns.size() && !done; ++k) {
          // The first token of all samples comes from the one prefill, in classic: row 0's.
          const Ids& script = k == 0 ? scripts[0] : scripts[row];
          const bool sampled = forced.empty();
          const int32_t id = !sampled ? forced.front() : k < script.size() ? script[k] : 0;
          if (!sampled) forced.pop_front();
          EXPECT_EQ(id, columns[k][row]) << "column " << k;
          EXPECT_EQ(sampled, masks[k][row] != 0) << "column " << k;
          done = id == end || id == bos;
          const auto block = state.push(id, tokens, tokenizer);
          if (block && !done) {
            if (const auto result = calculate(*block)) {
              const Ids add = ToolState::forced_tokens(*result, tokens, tokenizer);
              forced.insert(forced.end(), add.begin(), add.end());
            }
          }
          if (!done) {
            ids.push_back(id);
            mask.push_back(sampled);
          }
        }
        EXPECT_EQ(ids, c.at("batch_results").at(row).get<Ids>());
        EXPECT_EQ(mask, c.at("batch_masks").at(row).get<Ids>());
      }
    }
  }
}

}  // namespace
}  // namespace nanochat
