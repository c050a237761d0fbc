// labels: unit parity
#include "tasks/python_random.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "support/fixtures.h"
#include "support/sha256.h"

namespace nanochat {
namespace {

using nlohmann::json;

TEST(PythonRandomTest, TheFirstNumbersAreCPythons) {
  PythonRandom r42(42);
  EXPECT_EQ(r42.next32(), 2746317213U);
  EXPECT_EQ(r42.next32(), 478163327U);
  EXPECT_EQ(PythonRandom(0).random(), 0.8444218515250481);
  EXPECT_EQ(PythonRandom(10000000).below(370105), 183359U);
  std::vector<int> items{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  PythonRandom(42).shuffle(items);
  EXPECT_EQ(items, (std::vector<int>{7, 3, 2, 8, 5, 6, 9, 4, 0, 1}));
}

TEST(PythonRandomTest, ASampleHoldsEachNumberOnce) {
  // 500 of 1..499 and few: the set; 10 of 11: the pool.
  EXPECT_EQ(PythonRandom(1234).sample(499, 10),
            (std::vector<int64_t>{494, 398, 225, 59, 3, 46, 466, 482, 480, 413}));
  std::vector<int64_t> all = PythonRandom(7).sample(11, 11);
  std::ranges::sort(all);
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], static_cast<int64_t>(i));
  EXPECT_TRUE(PythonRandom(7).sample(0, 0).empty());
}

/// Numbers beyond 53 bits are strings in the fixture.
std::string as_text(const json& number) {
  return number.is_string() ? number.get<std::string>() : number.dump();
}

TEST(PythonRandomTest, AllNumbersOfTheFixtureAre) {
  constexpr const char* kPattern = "tasks/python_random.json";
  const auto paths = test::find_fixtures(kPattern);
  if (paths.empty()) GTEST_SKIP() << test::missing_fixture(kPattern);
  const json fixture = test::load_json(paths.front());
  int seeds = 0;
  for (const json& c : fixture.at("python")) {
    std::string digits = c.at("seed");
    SCOPED_TRACE(digits);
    if (digits.starts_with('-')) digits.erase(0, 1);  // by absolute value
    if (digits.size() > 19) continue;                 // more than 64 bits: no seed of ours
    const uint64_t seed = std::stoull(digits);
    ++seeds;
    const auto fresh = [seed] { return PythonRandom(seed); };
    PythonRandom r = fresh();
    for (const json& x : c.at("random")) EXPECT_EQ(r.random(), x.get<double>());
    r = fresh();
    for (const json& x : c.at("getrandbits32")) EXPECT_EQ(r.next32(), x.get<uint32_t>());
    r = fresh();
    size_t i = 0;
    for (const int k : {5, 17, 40, 64}) {
      EXPECT_EQ(std::to_string(r.bits(k)), as_text(c.at("getrandbits_5_17_40_64").at(i++)));
    }
    r = fresh();
    i = 0;
    for (const uint64_t n : {10, 3, 1, 1000, 370105}) {
      EXPECT_EQ(r.below(n), c.at("randrange_10_3_1_1000_370105").at(i++).get<uint64_t>());
    }
    r = fresh();
    for (const json& x : c.at("choice_of_7")) {
      EXPECT_EQ(r.choice(std::vector<int>{0, 1, 2, 3, 4, 5, 6}), x.get<int>());
    }
    std::vector<int> items(12);
    for (int k = 0; k < 12; ++k) items[static_cast<size_t>(k)] = k;
    fresh().shuffle(items);
    EXPECT_EQ(items, c.at("shuffle_12").get<std::vector<int>>());
    EXPECT_EQ(fresh().sample(20, 3), c.at("sample_3_of_20").get<std::vector<int64_t>>());
    EXPECT_EQ(fresh().sample(500, 10), c.at("sample_10_of_500").get<std::vector<int64_t>>());
    EXPECT_EQ(fresh().sample(11, 10), c.at("sample_10_of_11").get<std::vector<int64_t>>());
  }
  EXPECT_GT(seeds, 5);
  for (const json& c : fixture.at("numpy_permutation")) {
    if (c.at("seed") != 42) continue;
    const auto order = numpy_permutation_42(c.at("n"));
    const auto first = c.at("first").get<std::vector<uint32_t>>();
    ASSERT_GE(order.size(), first.size());
    EXPECT_TRUE(std::equal(first.begin(), first.end(), order.begin())) << c.at("n");
    EXPECT_EQ(test::sha256({reinterpret_cast<const char*>(order.data()), order.size() * 4}),
              c.at("sha256_u32le"));
  }
}

TEST(PythonRandomTest, ThePermutationIsNumPys) {
  EXPECT_EQ(numpy_permutation_42(10), (std::vector<uint32_t>{5, 6, 0, 7, 3, 2, 4, 9, 1, 8}));
  const auto order = numpy_permutation_42(1319);
  EXPECT_EQ(order[0], 30U);
  EXPECT_EQ(order[4], 1284U);
  EXPECT_TRUE(numpy_permutation_42(0).empty());
}

}  // namespace
}  // namespace nanochat
