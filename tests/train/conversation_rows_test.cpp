#include "train/conversation_rows.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/parallel.h"
#include "support/refusal.h"
#include "train/toy_task.h"

namespace nanochat {
namespace {

using nlohmann::ordered_json;
using enum ConversationPacking;
using test::small_tokenizer;
using Ids = std::vector<int32_t>;

// Rendering ahead on several threads is no use for so little.
const bool one_thread = (set_num_threads(1), true);

constexpr ConversationPacking kAll[] = {kStream, kRows, kBestFit};

RenderedConversation rendered(const Task& task, int64_t i) {
  return render_conversation(small_tokenizer(), task.example(i).conversation);
}

std::vector<RenderedConversation> all_rows(const Task& task,
                                           const ConversationRowsOptions& options) {
  ConversationRows rows(task, small_tokenizer(), options);
  std::vector<RenderedConversation> result;
  RenderedConversation row;
  while (rows.next(row)) result.push_back(row);
  return result;
}

/// A conversation of exactly n tokens: bos, user_start, ..., user_end, assistant_start, "x",
/// assistant_end.
Conversation of_length(int64_t n) {
  return test::asked_and_answered(std::string(static_cast<size_t>(n - 6), 'q'), "x");
}

TEST(ConversationRows, OneARowKeepsTokensAndMaskAsTheyWereRendered) {
  const auto task = test::counting_task(5);
  const auto rows = all_rows(*task, {.packing = kRows, .sequence_len = 100, .epochs = 2});
  ASSERT_EQ(rows.size(), 10);
  for (int64_t i = 0; i < 10; ++i) {
    const RenderedConversation expected = rendered(*task, i % 5);
    EXPECT_EQ(rows[static_cast<size_t>(i)].ids, expected.ids);
    EXPECT_EQ(rows[static_cast<size_t>(i)].mask, expected.mask);
    EXPECT_NE(std::ranges::count(expected.mask, 1), 0);
    EXPECT_NE(std::ranges::count(expected.mask, 0), 0);
  }
}

TEST(ConversationRows, AllTokensMeansEveryOne) {
  for (const RenderedConversation& row :
       all_rows(*test::counting_task(20),
                {.packing = kStream, .sequence_len = 30, .all_tokens = true, .epochs = 1})) {
    EXPECT_EQ(std::ranges::count(row.mask, 1), 31);
  }
}

TEST(ConversationRows, AStreamIsAllConversationsWithNoTokenLostBetweenRows) {
  const auto task = test::counting_task(20);
  Ids expected;
  std::vector<uint8_t> mask;
  for (int64_t i = 0; i < 40; ++i) {
    const RenderedConversation c = rendered(*task, i % 20);
    expected.insert(expected.end(), c.ids.begin(), c.ids.end());
    mask.insert(mask.end(), c.mask.begin(), c.mask.end());
  }
  const auto rows = all_rows(*task, {.packing = kStream, .sequence_len = 16, .epochs = 2});
  ASSERT_EQ(rows.size(), (expected.size() - 1) / 16);
  for (size_t r = 0; r < rows.size(); ++r) {
    ASSERT_EQ(rows[r].ids.size(), 17);
    EXPECT_TRUE(std::equal(rows[r].ids.begin(), rows[r].ids.end(),
                           expected.begin() + static_cast<int64_t>(16 * r)));
    EXPECT_TRUE(std::equal(rows[r].mask.begin(), rows[r].mask.end(),
                           mask.begin() + static_cast<int64_t>(16 * r)));
  }
}

TEST(ConversationRows, BestFitTakesTheLongestThatFitsTheEarliestOfEquals) {
  // Room for 21. 13 + 8 fill a row; of the two of 9 the earlier comes with the 12.
  const test::ToyTask task(
      {of_length(8), of_length(9), of_length(12), of_length(13), of_length(9)});
  std::vector<std::vector<size_t>> lengths;
  const int32_t bos = small_tokenizer().bos_id();
  for (const RenderedConversation& row :
       all_rows(task, {.packing = kBestFit, .sequence_len = 20, .epochs = 1})) {
    std::vector<size_t>& of_row = lengths.emplace_back();
    for (const int32_t id : row.ids) {
      if (id == bos) of_row.push_back(0);
      ++of_row.back();
    }
  }
  EXPECT_EQ(lengths, (std::vector<std::vector<size_t>>{{13, 8}, {12, 9}, {9}}));
}

TEST(ConversationRows, BestFitPlacesEveryConversationOnceAndCutsNone) {
  const auto task = test::counting_task(150);
  std::multiset<Ids> expected, placed;
  for (int64_t i = 0; i < 150; ++i) expected.insert(rendered(*task, i).ids);
  const int32_t bos = small_tokenizer().bos_id();
  for (const RenderedConversation& row :
       all_rows(*task, {.packing = kBestFit, .sequence_len = 100, .epochs = 1})) {
    EXPECT_LE(row.ids.size(), 101);
    EXPECT_EQ(row.ids.front(), bos);
    for (auto begin = row.ids.begin(); begin != row.ids.end();) {
      const auto end = std::find(begin + 1, row.ids.end(), bos);
      placed.emplace(begin, end);
      begin = end;
    }
  }
  EXPECT_EQ(placed, expected);
}

TEST(ConversationRows, ConversationsLongerThanARowLoseTheirEndAndAreCounted) {
  std::vector<Conversation> conversations(150, of_length(90));
  conversations.push_back(of_length(16));
  const test::ToyTask task(std::move(conversations));
  for (const ConversationPacking packing : {kRows, kBestFit}) {
    // Upstream's packing would wait for ever for a place for a hundred of these.
    ConversationRows rows(task, small_tokenizer(),
                          {.packing = packing, .sequence_len = 16, .epochs = 1});
    RenderedConversation row;
    int64_t n = 0;
    for (; rows.next(row); ++n) EXPECT_EQ(row.ids.size(), 16);
    EXPECT_EQ(n, 151);
    EXPECT_EQ(rows.cropped(), 150);
  }
}

TEST(ConversationRows, GoOnFromAnyStateWithTheVeryRowsThatCameNext) {
  const auto task = test::counting_task(130);
  for (const ConversationPacking packing : kAll) {
    const ConversationRowsOptions options{.packing = packing, .sequence_len = 24};
    ConversationRows whole(*task, small_tokenizer(), options);
    RenderedConversation row, expected;
    for (int i = 0; i < 300; ++i) {
      ASSERT_TRUE(whole.next(row));
      if (i % 7 != 0) continue;
      // Through a text, as in a checkpoint.
      const ordered_json state = ordered_json::parse(whole.state().dump());
      ConversationRows resumed(*task, small_tokenizer(), options, state, "state.json");
      ConversationRows again(*task, small_tokenizer(), options, state, "state.json");
      EXPECT_EQ(resumed.state(), state);
      for (int k = 0; k < 5; ++k) {
        ASSERT_TRUE(resumed.next(row));
        ASSERT_TRUE(again.next(expected));
        ASSERT_EQ(row.ids, expected.ids);
      }
      ASSERT_TRUE(whole.next(expected));
      ConversationRows once_more(*task, small_tokenizer(), options, state, "state.json");
      ASSERT_TRUE(once_more.next(row));
      ASSERT_EQ(row.ids, expected.ids) << i;
      ASSERT_EQ(row.mask, expected.mask);
    }
  }
}

TEST(ConversationRows, AStateOfOtherDataOrPackingIsRefused) {
  const auto task = test::counting_task(10), other = test::counting_task(11);
  const ConversationRowsOptions options{.packing = kStream, .sequence_len = 24};
  ConversationRows rows(*task, small_tokenizer(), options);
  RenderedConversation row;
  ASSERT_TRUE(rows.next(row));
  const ordered_json state = rows.state();
  const auto resume = [&](const Task& t, ConversationPacking packing, const ordered_json& s) {
    ConversationRows(t, small_tokenizer(), {.packing = packing, .sequence_len = 24}, s,
                     "state.json");
  };
  EXPECT_SAYS(test::refusal<UsageError>([&] { resume(*other, kStream, state); }),
              "begun with 10 conversations");
  EXPECT_SAYS(test::refusal<UsageError>([&] { resume(*task, kBestFit, state); }), "bestfit");
  EXPECT_SAYS(test::refusal<DataError>([&] {
                resume(*task, kStream, {{"packing", "stream"}});
              }),
              "state.json");
}

TEST(ConversationRows, AMalformedConversationIsNamed) {
  const test::ToyTask task({of_length(9), {{{Role::kAssistant, "first"}}}});
  ConversationRows rows(task, small_tokenizer(), {.packing = kRows, .sequence_len = 24});
  RenderedConversation row;
  EXPECT_SAYS(test::refusal<DataError>([&] { static_cast<void>(rows.next(row)); }),
              "Toy, example 1: message 0");
}

TEST(ConversationRows, NothingToTrainOnIsRefused) {
  const test::ToyTask empty({});
  EXPECT_SAYS(test::refusal<UsageError>(
                  [&] { ConversationRows(empty, small_tokenizer(), {.sequence_len = 24}); }),
              "no examples");
  EXPECT_SAYS(test::refusal<UsageError>([&] {
                ConversationRows(*test::counting_task(1), small_tokenizer(), {.sequence_len = 1});
              }),
              "sequence length of 1");
}

TEST(ConversationRows, AreCountedAsTheyAreMade) {
  const auto task = test::counting_task(140);
  for (const ConversationPacking packing : kAll) {
    ConversationRowsOptions options{.packing = packing, .sequence_len = 50, .epochs = 3};
    EXPECT_EQ(count_rows(*task, small_tokenizer(), options, 3),
              std::ssize(all_rows(*task, options)));
  }
}

}  // namespace
}  // namespace nanochat
