#include "tokenizer/bpe_trainer.h"

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "core/parallel.h"
#include "tokenizer/vocabulary.h"

namespace nanochat {

void PrintTo(const Merge& merge, std::ostream* out) {
  *out << fmt::format("({}, {}) x{}", merge.left, merge.right, merge.count);
}

namespace {

using Counts = std::map<std::string, int64_t>;
using Documents = std::vector<std::string_view>;

/// What the trainer must find, by the definition: count every pair in every word after each merge.
std::vector<Merge> naive_merges(const Counts& counts, int64_t n_merges) {
  std::vector<std::pair<std::vector<int32_t>, int64_t>> words;
  for (const auto& [bytes, count] : counts) {
    words.push_back({{}, count});
    for (const char c : bytes) words.back().first.push_back(static_cast<unsigned char>(c));
  }
  std::vector<Merge> merges;
  while (std::ssize(merges) < n_merges) {
    std::map<std::pair<int32_t, int32_t>, int64_t> pairs;
    for (const auto& [ids, count] : words) {
      for (size_t i = 0; i + 1 < ids.size(); ++i) pairs[{ids[i], ids[i + 1]}] += count;
    }
    std::optional<Merge> best;
    for (const auto& [pair, count] : pairs) {  // ascending, so the first of equals stays
      if (count > (best ? best->count : 0)) best = Merge{pair.first, pair.second, count};
    }
    if (!best) break;
    const auto merged = static_cast<int32_t>(256 + merges.size());
    for (auto& [ids, count] : words) {
      std::vector<int32_t> replaced;
      for (size_t i = 0; i < ids.size(); ++i) {
        if (i + 1 < ids.size() && ids[i] == best->left && ids[i + 1] == best->right) {
          replaced.push_back(merged);
          ++i;
        } else {
          replaced.push_back(ids[i]);
        }
      }
      ids = std::move(replaced);
    }
    merges.push_back(*best);
  }
  return merges;
}

std::vector<Merge> train(const Counts& counts, int64_t n_merges) {
  const Splitter splitter;
  ChunkCounter counter(splitter);
  for (const auto& [chunk, count] : counts) counter.add_chunk(chunk, count);
  return train_bpe(std::move(counter), n_merges);
}

Counts counted(const ChunkCounter& counter) {
  Counts counts;
  counter.visit([&](std::string_view chunk, int64_t count) {
    EXPECT_TRUE(counts.emplace(chunk, count).second) << "visited twice: " << chunk;
  });
  return counts;
}

/// Chunks counted one by one, with no table of ours.
Counts count_by_map(const Splitter& splitter, const Documents& documents) {
  Counts counts;
  std::vector<size_t> ends;
  for (const std::string_view document : documents) {
    splitter.split(document, ends);
    size_t begin = 0;
    for (const size_t end : ends) {
      ++counts[std::string(document.substr(begin, end - begin))];
      begin = end;
    }
  }
  return counts;
}

/// Words of a few random letters, one in `rare` places, among white space and signs of all kinds.
std::string random_text(size_t n_parts, uint64_t rare, uint64_t seed) {
  constexpr std::string_view kBetween[] = {
      " ",  "  ",     "\n",  "\n\n ", ", ",   ".\n", "\r\n",  " \n ", "\u3000",   "1234",
      "1 ", "\u00a0", "'s ", "\t",    "。\n", "! ",  "!\n\n", "中",   "\n\u00a0", "\n\u3000"};
  std::mt19937_64 random(seed);
  std::string text;
  for (size_t i = 0; i < n_parts; ++i) {
    if (random() % rare != 0) {
      text += kBetween[random() % std::size(kBetween)];
      continue;
    }
    for (size_t size = 1 + random() % (random() % 50 == 0 ? 60 : 5); size > 0; --size) {
      text += static_cast<char>('a' + random() % 4);
    }
    text += ' ';
  }
  return text;
}

/// Restores the number of threads.
class ThreadsGuard {
 public:
  ThreadsGuard() : before_(num_threads()) {}
  ~ThreadsGuard() { set_num_threads(before_); }
  ThreadsGuard(const ThreadsGuard&) = delete;
  ThreadsGuard& operator=(const ThreadsGuard&) = delete;

 private:
  int before_;
};

TEST(BpeTrainerTest, WorkedExample) {
  const Counts counts{{"abab", 3}, {"ab", 1}, {"aaa", 2}, {"ba", 4}, {"aaaa", 1}};
  const std::vector<Merge> expected{
      {97, 97, 7},    // overlapping: twice in aaa, three times in aaaa
      {97, 98, 7},    // a tie, decided for the smaller pair
      {98, 97, 4},    // what is left of ba
      {257, 257, 3},  // abab
      {256, 97, 2},   // aaa
      {256, 256, 1},  // aaaa; then no pair remains
  };
  EXPECT_EQ(train(counts, 100), expected);
  EXPECT_EQ(naive_merges(counts, 100), expected);
  EXPECT_EQ(train(counts, 4), (std::vector<Merge>{expected.begin(), expected.begin() + 4}));
}

TEST(BpeTrainerTest, RunsOfOneLetter) {
  const auto merges = train({{"aaa", 1}, {"aaaa", 10}, {"aaaaa", 100}}, 3);
  const auto tokens = token_strings(merges);
  ASSERT_EQ(tokens.size(), 259U);
  EXPECT_EQ(tokens[256], "aa");
  EXPECT_EQ(tokens[257], "aaaa");   // in aaaa and aaaaa: 110
  EXPECT_EQ(tokens[258], "aaaaa");  // 100, more than aaa
}

TEST(BpeTrainerTest, AgreesWithCountingAgainOnSmallAlphabets) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(fmt::format("seed={}", seed));
    std::mt19937_64 random(seed);
    const size_t letters = 1 + seed % 4;                // one letter: nothing but overlaps
    const size_t max_count = seed % 3 == 0 ? 2000 : 3;  // low counts: nothing but ties
    Counts counts;
    for (size_t i = 0, n = 1 + random() % 60; i < n; ++i) {
      std::string word;
      for (size_t k = 0, size = 1 + random() % 30; k < size; ++k) {
        word += static_cast<char>('a' + random() % letters);
      }
      counts[word] += static_cast<int64_t>(1 + random() % max_count);
    }
    EXPECT_EQ(train(counts, 1000), naive_merges(counts, 1000));
  }
}

// Counts over many orders of magnitude: the index of pairs is built several times on the way down.
TEST(BpeTrainerTest, AgreesWithCountingAgainOnSteepCounts) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(fmt::format("seed={}", seed));
    std::mt19937_64 random(seed);
    Counts counts;
    for (int i = 0; i < 150; ++i) {
      std::string word;
      for (size_t k = 0, size = 1 + random() % 12; k < size; ++k) {
        word += static_cast<char>(random() % 2 ? 0xff - random() % 3 : random() % 3);  // and NUL
      }
      counts[word] += int64_t{1} << random() % 45;
    }
    EXPECT_EQ(train(counts, 1000), naive_merges(counts, 1000));
  }
}

TEST(BpeTrainerTest, CountsBeyond32Bits) {
  const auto merges = train({{"ab", int64_t{5} << 32}, {"cd", (int64_t{5} << 32) + 1}}, 2);
  EXPECT_EQ(merges,
            (std::vector<Merge>{{'c', 'd', (int64_t{5} << 32) + 1}, {'a', 'b', int64_t{5} << 32}}));
}

TEST(BpeTrainerTest, StopsEarlyWhenNoPairIsLeft) {
  EXPECT_TRUE(train({}, 10).empty());
  EXPECT_TRUE(train({{"a", 5}, {"b", 2}}, 10).empty());
  EXPECT_EQ(train({{"ab", 5}, {"c", 2}}, 10), (std::vector<Merge>{{'a', 'b', 5}}));
  EXPECT_TRUE(train({{"ab", 5}}, 0).empty());
  EXPECT_TRUE(train({{"ab", 5}}, -3).empty());
}

TEST(BpeTrainerTest, ZeroCountsAndEmptyChunksAddNothing) {
  const Splitter splitter;
  ChunkCounter counter(splitter);
  counter.add_chunk("xy", 0);
  counter.add_chunk("", 7);
  counter.add_chunk("ab", 1);
  EXPECT_THROW(counter.add_chunk("cd", -1), UsageError);
  EXPECT_EQ(counter.n_chunks(), 1);
  EXPECT_EQ(counter.n_distinct(), 1);
  EXPECT_EQ(train_bpe(std::move(counter), 10), (std::vector<Merge>{{'a', 'b', 1}}));
}

// Quadratic work would take hours.
TEST(BpeTrainerTest, AMegabyteOfOneLetter) {
  const auto merges = train({{std::string(1 << 20, 'a'), 1}}, 1000);
  ASSERT_EQ(merges.size(), 20U);  // halves it each time
  EXPECT_EQ(merges[0], (Merge{'a', 'a', (1 << 20) - 1}));
  EXPECT_EQ(merges[19], (Merge{274, 274, 1}));
  EXPECT_EQ(token_strings(merges).back().size(), size_t{1} << 20);
}

TEST(BpeTrainerTest, AMegabyteOfTwoLetters) {
  std::mt19937_64 random(5);
  std::string chunk(1 << 20, 'a');
  for (char& c : chunk) c = random() % 2 ? 'a' : 'b';
  const auto merges = train({{chunk, 1}}, 2000);
  ASSERT_EQ(merges.size(), 2000U);
  EXPECT_TRUE(std::is_sorted(merges.begin(), merges.end(),
                             [](const Merge& a, const Merge& b) { return a.count > b.count; }));
}

TEST(BpeTrainerTest, ProgressIsReportedAndMayStop) {
  Counts counts;
  const std::string word = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  counts[word] = 1;
  const Splitter splitter;
  ChunkCounter counter(splitter);
  counter.add_chunk(word, 1);
  std::vector<int64_t> reported;
  const auto merges =
      train_bpe(std::move(counter), 1000, [&](int64_t n) { reported.push_back(n); });
  EXPECT_EQ(merges.size(), word.size() - 1);
  ASSERT_GT(reported.size(), 2U);
  EXPECT_TRUE(std::is_sorted(reported.begin(), reported.end()));
  EXPECT_EQ(reported.back(), std::ssize(merges));

  ChunkCounter again(splitter);
  again.add_chunk(word, 1);
  const auto stop = [](int64_t) { throw std::runtime_error("stop"); };
  EXPECT_THROW((void)train_bpe(std::move(again), 1000, stop), std::runtime_error);
}

TEST(BpeTrainerTest, TokenStringsMakeAVocabulary) {
  const auto merges = train({{"abab", 3}, {"zab", 1}}, 3);
  const auto tokens = token_strings(merges);
  ASSERT_EQ(tokens.size(), 259U);
  for (int b = 0; b < 256; ++b) EXPECT_EQ(tokens[b], std::string(1, static_cast<char>(b)));
  EXPECT_EQ(tokens[256], "ab");
  EXPECT_EQ(tokens[257], "abab");
  EXPECT_EQ(tokens[258], "zab");
  const Vocabulary vocabulary = Vocabulary::from_tokens(tokens);
  EXPECT_EQ(vocabulary.specials.at("<|bos|>"), 259);
  EXPECT_EQ(vocabulary.size(), 259 + 9);
}

TEST(ChunkCounterTest, CountsWhatTheSplitterGives) {
  const Splitter splitter;
  ChunkCounter counter(splitter);
  counter.add(Documents{"the cat the dog", "", " the", "the"});
  const Counts expected{{"the", 2}, {" cat", 1}, {" the", 2}, {" dog", 1}};
  EXPECT_EQ(counted(counter), expected);
  EXPECT_EQ(counter.n_chunks(), 6);
  EXPECT_EQ(counter.n_distinct(), 4);
  counter.add(Documents{" cat"});  // goes on after it has been looked at
  EXPECT_EQ(counted(counter).at(" cat"), 2);
  EXPECT_EQ(counter.n_chunks(), 7);
}

// Lengths on either side of what an entry holds itself, chunks that differ in one byte or in zeros
// at the end, at the end of the document and not.
TEST(ChunkCounterTest, TellsSimilarChunksApart) {
  const Splitter splitter;
  for (const std::string_view end : {std::string_view(), std::string_view(" and more than that")}) {
    Documents documents;
    std::vector<std::string> texts;
    for (size_t size = 1; size < 70; ++size) {
      texts.push_back(std::string(size, 'a'));
      texts.push_back(std::string(size, 'a') + "b");
      texts.push_back(std::string(size, 'a').insert(0, 1, 'b'));
      texts.push_back(std::string(size, '\0'));
    }
    texts.push_back(std::string(1024, 'a'));
    texts.push_back(std::string(1025, 'a'));
    texts.push_back(std::string(100'000, 'a'));
    for (std::string& text : texts) text += end;
    for (int repeat = 0; repeat < 3; ++repeat) {
      documents.insert(documents.end(), texts.begin(), texts.end());
    }
    ChunkCounter counter(splitter);
    counter.add(documents);
    EXPECT_EQ(counted(counter), count_by_map(splitter, documents));
  }
}

TEST(ChunkCounterTest, BatchesThreadsAndCutsDoNotMatter) {
  const ThreadsGuard guard;
  const Splitter splitter;
  std::vector<std::string> texts;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    texts.push_back(random_text(100 * seed, 2, seed));
    texts.push_back(random_text(80'000, 100, 100 + seed));  // long enough to be cut in five
  }
  const Documents documents(texts.begin(), texts.end());
  const Counts expected = count_by_map(splitter, documents);
  for (const int threads : {1, 2, 5}) {
    for (const size_t batch : {size_t{1}, size_t{7}, documents.size()}) {
      SCOPED_TRACE(fmt::format("threads={} batch={}", threads, batch));
      set_num_threads(threads);
      ChunkCounter counter(splitter);
      for (size_t i = 0; i < documents.size(); i += batch) {
        counter.add(std::span(documents).subspan(i, std::min(batch, documents.size() - i)));
      }
      int64_t n_chunks = 0;
      for (const auto& [chunk, count] : expected) n_chunks += count;
      EXPECT_EQ(counter.n_chunks(), n_chunks);
      EXPECT_EQ(counter.n_distinct(), std::ssize(expected));
      EXPECT_TRUE(counted(counter) == expected);
    }
  }
}

TEST(ChunkCounterTest, APatternOfOnesOwnIsNeverCut) {
  // Whole lines and more: every cut inside a document would show.
  const Splitter splitter(R"([\s\S]{1,60000})");
  ASSERT_FALSE(splitter.is_scanner());
  const std::string text = random_text(60'000, 2, 3);
  ChunkCounter counter(splitter);
  const Documents documents{text};
  counter.add(documents);
  EXPECT_EQ(counted(counter), count_by_map(splitter, documents));
}

// More distinct chunks than a thread's table takes: it is emptied on the way, and the shared ones
// grow.
TEST(ChunkCounterTest, ManyDistinctChunks) {
  const ThreadsGuard guard;
  set_num_threads(2);
  const Splitter splitter;
  std::vector<std::string> texts;
  Counts expected;
  for (uint64_t document = 0; document < 20; ++document) {
    std::string text;
    for (uint64_t i = 0; i < 10'000; ++i) {
      std::string word = " ";
      for (uint64_t id = (document * 10'000 + i) * 7919 % 160'000 + 1; id != 0; id /= 5) {
        word += static_cast<char>('a' + id % 5);
        if (id % 7 == 0) word += "中中";
      }
      ++expected[word];
      text += word;
    }
    texts.push_back(std::move(text));
  }
  ASSERT_GT(expected.size(), size_t{1} << 17);
  ChunkCounter counter(splitter);
  for (const std::string& text : texts) counter.add(Documents{text});
  EXPECT_EQ(counter.n_chunks(), 200'000);
  EXPECT_TRUE(counted(counter) == expected);
}

TEST(BpeTrainerTest, DocumentsToMergesWhateverTheThreads) {
  const ThreadsGuard guard;
  const Splitter splitter;
  const std::string text = random_text(3000, 2, 11);
  const auto expected = naive_merges(count_by_map(splitter, {text}), 60);
  for (const int threads : {1, 2, 4}) {
    set_num_threads(threads);
    ChunkCounter counter(splitter);
    counter.add(Documents{text});
    EXPECT_EQ(train_bpe(std::move(counter), 60), expected) << threads << " threads";
  }
}

}  // namespace
}  // namespace nanochat
