// labels: parity
// Conversations as upstream renders and refuses them.
#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/fixtures.h"
#include "support/sha256.h"
#include "tokenizer/conversation.h"
#include "tokenizer/fixture_vocabulary.h"

namespace nanochat {
namespace {

using nlohmann::json;

TEST(ConversationParityTest, RendersAsUpstream) {
  if (test::find_fixtures("tokenizer/conversations.json").empty()) {
    GTEST_SKIP() << test::missing_fixture("tokenizer/conversations.json");
  }
  const json fixture = test::load_json(test::fixtures_dir() / "tokenizer/conversations.json");
  const Tokenizer tokenizer(test::fixture_vocabulary(2048));
  ASSERT_GE(fixture["cases"].size(), 5U);
  for (const json& c : fixture["cases"]) {
    SCOPED_TRACE(c["name"].dump());
    const Conversation conversation = parse_conversation(c.dump(), "fixture");
    const auto [ids, mask] = render_conversation(tokenizer, conversation, c["max_tokens"]);
    EXPECT_EQ(ids.size(), mask.size());
    if (c["ids"].is_object()) {  // too long to keep
      EXPECT_EQ(ids.size(), c["ids"]["len"].get<size_t>());
      EXPECT_EQ(test::sha256(test::bytes_of_ids(ids)), c["ids"]["sha256_u32le"].get<std::string>());
      EXPECT_EQ(std::ranges::count(mask, 1), c["mask"]["sum"].get<int64_t>());
      continue;
    }
    EXPECT_EQ(ids, c["ids"].get<std::vector<int32_t>>());
    EXPECT_EQ(mask, c["mask"].get<std::vector<uint8_t>>());
    const json completion = c.value("render_for_completion_ids", json());  // absent: refused
    if (completion.is_array()) {
      EXPECT_EQ(render_for_completion(tokenizer, conversation),
                completion.get<std::vector<int32_t>>());
    } else {
      EXPECT_THROW(static_cast<void>(render_for_completion(tokenizer, conversation)), DataError);
    }
  }
}

TEST(ConversationParityTest, RefusesWhatUpstreamRefuses) {
  if (test::find_fixtures("tokenizer/conversations.json").empty()) {
    GTEST_SKIP() << test::missing_fixture("tokenizer/conversations.json");
  }
  const json fixture = test::load_json(test::fixtures_dir() / "tokenizer/conversations.json");
  const Tokenizer tokenizer(test::fixture_vocabulary(2048));
  ASSERT_GE(fixture["must_fail"].size(), 5U);
  for (const json& c : fixture["must_fail"]) {
    SCOPED_TRACE(c["name"].dump());
    EXPECT_THROW(
        static_cast<void>(render_conversation(tokenizer, parse_conversation(c.dump(), "x"))),
        DataError);
  }
}

}  // namespace
}  // namespace nanochat
