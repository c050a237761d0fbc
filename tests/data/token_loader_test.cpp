#include "data/token_loader.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "support/compressed.h"
#include "support/loader_reference.h"
#include "support/refusal.h"
#include "support/temporary_folder.h"

namespace nanochat {
namespace {

using test::Corpus;
using test::ReferenceLoader;
using test::TemporaryFolder;
using Texts = std::vector<std::string>;

/// Bytes and a few merges.
const Tokenizer& tokenizer() {
  static const Tokenizer instance = [] {
    Texts tokens;
    for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
    for (const char* token : {"th", "the", " t", "er", " the", "in", "an", "and", "aa"}) {
      tokens.emplace_back(token);
    }
    return Tokenizer(Vocabulary::from_tokens(tokens));
  }();
  return instance;
}

/// Documents of many lengths, some empty, a few long.
Texts random_texts(int64_t n, uint64_t seed) {
  std::mt19937_64 random(seed);
  Texts texts;
  for (int64_t i = 0; i < n; ++i) {
    const bool is_long = random() % 50 == 0;
    std::string text;
    const uint64_t n_words = random() % (is_long ? 200 : 12);
    for (uint64_t w = 0; w < n_words; ++w) {
      constexpr const char* kWords[] = {"the", " and", " in",         " water",
                                        "\n",  " 42",  "\xe4\xbd\xa0"};
      text += kWords[random() % std::size(kWords)];
    }
    texts.push_back(text);
  }
  return texts;
}

std::string jsonl(const Texts& texts) {
  std::string lines;
  for (const std::string& text : texts) lines += nlohmann::json{{"text", text}}.dump() + "\n";
  return lines;
}

std::vector<DataPart> whole(const Texts& files) {
  std::vector<DataPart> parts;
  for (const std::string& file : files) parts.push_back({.file = file});
  return parts;
}

/// As files of .jsonl have it: row groups of 1024 documents.
Corpus corpus_of(const std::vector<Texts>& files) {
  Corpus corpus;
  for (const Texts& texts : files) {
    corpus.emplace_back();
    for (size_t i = 0; i < texts.size(); ++i) {
      if (i % 1024 == 0) corpus.back().emplace_back();
      test::Document document{tokenizer().bos_id()};
      tokenizer().encode_to(texts[i], document);
      corpus.back().back().push_back(document);
    }
  }
  return corpus;
}

testing::AssertionResult same(const TokenBatch& a, const TokenBatch& b) {
  if (a.ids != b.ids) return testing::AssertionFailure() << "other ids";
  if (a.targets != b.targets) return testing::AssertionFailure() << "other targets";
  if (a.epoch != b.epoch || a.file != b.file || a.group != b.group) {
    return testing::AssertionFailure()
           << fmt::format("epoch {} file {} group {}, not {} {} {}", a.epoch, a.file, a.group,
                          b.epoch, b.file, b.group);
  }
  return testing::AssertionSuccess();
}

using test::refusal;

TokenLoaderOptions small_options(Packing packing, int rank = 0, int world_size = 1) {
  TokenLoaderOptions options;
  options.device_batch_size = 3;
  options.sequence_len = 40;
  options.packing = packing;
  options.rank = rank;
  options.world_size = world_size;
  options.tokenizer_batch_size = 16;
  options.buffer_size = 50;
  return options;
}

class TokenLoaderTest : public testing::TestWithParam<Packing> {
 protected:
  [[nodiscard]] TokenLoaderOptions options(int rank = 0, int world_size = 1) const {
    return small_options(GetParam(), rank, world_size);
  }
  TemporaryFolder folder_;
};

INSTANTIATE_TEST_SUITE_P(Both, TokenLoaderTest,
                         testing::Values(Packing::kStream, Packing::kBestFit),
                         [](const auto& param) {
                           return param.param == Packing::kStream ? "Stream" : "BestFit";
                         });

TEST_P(TokenLoaderTest, BatchesAreThoseOfThePlainLoaderThroughSeveralEpochs) {
  const std::vector<Texts> texts{random_texts(2500, 1), random_texts(1024, 2),
                                 random_texts(3072, 3)};
  const Texts files{folder_.write("a.jsonl", jsonl(texts[0])),
                    folder_.write("b.jsonl.gz", test::gzip(jsonl(texts[1]))),
                    folder_.write("c.jsonl.zst", test::zstd(jsonl(texts[2])))};
  for (int world_size = 1; world_size <= 3; ++world_size) {
    for (int rank = 0; rank < world_size; ++rank) {
      SCOPED_TRACE(fmt::format("rank {} of {}", rank, world_size));
      TokenLoader loader(whole(files), tokenizer(), options(rank, world_size));
      ReferenceLoader reference(corpus_of(texts), options(rank, world_size));
      TokenBatch batch, expected;
      int64_t n = 0;
      while (batch.epoch < 3 && n < 5000) {
        ASSERT_TRUE(loader.next(batch));
        ASSERT_TRUE(reference.next(expected));
        ASSERT_TRUE(same(batch, expected)) << "batch " << n;
        ++n;
      }
      EXPECT_EQ(batch.epoch, 3);
    }
  }
}

TEST_P(TokenLoaderTest, WithAnEndItEndsAfterTheLastFullBatch) {
  const Texts texts = random_texts(700, 4);
  const Texts files{folder_.write("a.jsonl", jsonl(texts))};
  TokenLoaderOptions o = options();
  o.endless = false;
  TokenLoader loader(whole(files), tokenizer(), o);
  ReferenceLoader reference(corpus_of({texts}), o);
  TokenBatch batch, expected;
  int64_t n = 0;
  for (;; ++n) {
    const bool more = loader.next(batch);
    ASSERT_EQ(more, reference.next(expected)) << n;
    if (!more) break;
    ASSERT_TRUE(same(batch, expected)) << n;
  }
  EXPECT_GT(n, 10);
  EXPECT_FALSE(loader.next(batch)) << "the end stays the end";
}

TEST_P(TokenLoaderTest, ResumedAnywhereItGoesOnWithTheVerySameBatches) {
  const std::vector<Texts> texts{random_texts(3000, 5), random_texts(2100, 6)};
  const Texts files{folder_.write("a.jsonl", jsonl(texts[0])),
                    folder_.write("b.jsonl.gz", test::gzip(jsonl(texts[1])))};
  std::mt19937_64 random(7);
  for (int world_size = 1; world_size <= 3; ++world_size) {
    const int rank = world_size - 1;
    TokenLoader uninterrupted(whole(files), tokenizer(), options(rank, world_size));
    auto resumed =
        std::make_unique<TokenLoader>(whole(files), tokenizer(), options(rank, world_size));
    TokenBatch expected, batch;
    for (int64_t n = 0; expected.epoch < 3; ++n) {
      ASSERT_TRUE(uninterrupted.next(expected));
      ASSERT_TRUE(resumed->next(batch));
      ASSERT_TRUE(same(batch, expected)) << "batch " << n << " of rank " << rank;
      if (random() % 20 != 0) continue;
      const LoaderState state = resumed->state();
      resumed.reset();
      resumed = std::make_unique<TokenLoader>(whole(files), tokenizer(), options(rank, world_size),
                                              state);
      const LoaderState again = resumed->state();
      EXPECT_EQ(again.position, state.position);
      EXPECT_EQ(again.tokens, state.tokens);
      EXPECT_EQ(again.lengths, state.lengths);
    }
  }
}

TEST_P(TokenLoaderTest, ABookAsOneDocumentComesInPiecesThatChangeNoToken) {
  std::string book;
  for (int i = 0; std::ssize(book) < (5 << 20); ++i) {
    book += fmt::format("line {} of the book, and\n{}", i, i % 7 == 0 ? "\n  in the water" : "");
  }
  const Texts files{folder_.write("book.txt", book)};
  if (GetParam() == Packing::kBestFit) {  // its buffer fills with copies of the one document
    auto o = options();
    o.buffer_size = 5;
    TokenLoader loader(whole(files), tokenizer(), o);
    TokenBatch batch;
    ASSERT_TRUE(loader.next(batch));
    const auto whole_book = corpus_of({{book}})[0][0][0];
    EXPECT_TRUE(std::equal(batch.ids.begin(), batch.ids.begin() + 40, whole_book.begin()));
    EXPECT_EQ(loader.state().lengths.front(), std::ssize(whole_book));
    EXPECT_EQ(loader.state().tokens.size(), 41 * loader.state().lengths.size());
    return;
  }
  auto o = options();
  o.device_batch_size = 100;
  o.sequence_len = 1000;
  TokenLoader in_pieces(whole(files), tokenizer(), o);
  ReferenceLoader plain(corpus_of({{book}}), o);
  TokenBatch batch, expected;
  std::optional<LoaderState> state;
  for (int n = 0; n < 40; ++n) {
    ASSERT_TRUE(in_pieces.next(batch));
    ASSERT_TRUE(plain.next(expected));
    ASSERT_TRUE(same(batch, expected)) << n;
    if (n == 20) state = in_pieces.state();
  }
  EXPECT_GT(nlohmann::json::parse(state->position)["offset"].get<int64_t>(), 0)
      << "the test should stop in a later piece";
  TokenLoader resumed(whole(files), tokenizer(), o, state);
  TokenLoader plain_again(whole(files), tokenizer(), o);
  for (int n = 0; n < 40; ++n) {
    ASSERT_TRUE(plain_again.next(expected));
    if (n <= 20) continue;
    ASSERT_TRUE(resumed.next(batch));
    ASSERT_TRUE(same(batch, expected)) << n;
  }
}

TEST_P(TokenLoaderTest, APartOfAFileKeepsItsRowGroups) {
  const Texts texts = random_texts(3000, 8);
  const Texts files{folder_.write("a.jsonl", jsonl(texts))};
  DataPart part{.file = files[0], .begin_document = 1500, .end_document = 2500};
  Corpus corpus = corpus_of({texts});
  auto& groups = corpus[0];
  groups.erase(groups.begin());
  groups[0].erase(groups[0].begin(), groups[0].begin() + (1500 - 1024));
  groups[1].resize(2500 - 2048);
  for (int world_size = 1; world_size <= 2; ++world_size) {
    TokenLoader loader({part}, tokenizer(), options(world_size - 1, world_size));
    ReferenceLoader reference(corpus, options(world_size - 1, world_size));
    TokenBatch batch, expected;
    while (batch.epoch < 3) {
      ASSERT_TRUE(loader.next(batch));
      ASSERT_TRUE(reference.next(expected));
      ASSERT_TRUE(same(batch, expected));
    }
  }
}

TEST_P(TokenLoaderTest, ARankWithoutRowGroupsIsToldSo) {
  const Texts files{folder_.write("a.jsonl", jsonl(random_texts(1500, 9)))};
  TokenLoader loader(whole(files), tokenizer(), options(2, 3));
  TokenBatch batch;
  const std::string what = refusal<DataError>([&] { static_cast<void>(loader.next(batch)); });
  EXPECT_SAYS(what, "a.jsonl: no row group for rank 2 of 3");
  EXPECT_SAYS(what, "run fewer processes");
  EXPECT_EQ(refusal<DataError>([&] { static_cast<void>(loader.next(batch)); }), what);
}

TEST_P(TokenLoaderTest, NoDocumentsAtAllIsAnErrorAndNotForever) {
  const Texts files{folder_.write("a.jsonl", "\n\n"), folder_.write("b.txt", "")};
  TokenLoader loader(whole(files), tokenizer(), options());
  TokenBatch batch;
  EXPECT_SAYS(refusal<DataError>([&] { static_cast<void>(loader.next(batch)); }),
              "a.jsonl and 1 more: no documents in it");
}

TEST_P(TokenLoaderTest, EmptyDocumentsAreTheirFirstTokenAlone) {
  const Texts files{folder_.write("a.jsonl", jsonl(Texts(300, "")))};
  TokenLoader loader(whole(files), tokenizer(), options());
  TokenBatch batch;
  ASSERT_TRUE(loader.next(batch));
  EXPECT_EQ(batch.ids, std::vector<int32_t>(120, tokenizer().bos_id()));
}

TEST_P(TokenLoaderTest, ABadPlaceIsNamedAfterTheBatchesBeforeIt) {
  const Texts texts = random_texts(1000, 10);
  const Texts files{folder_.write("a.jsonl", jsonl(texts) + "{\"text\": 3}\n")};
  TokenLoader loader(whole(files), tokenizer(), options());
  ReferenceLoader reference(corpus_of({texts}), options());
  TokenBatch batch, expected;
  for (int n = 0; n < 20; ++n) {
    ASSERT_TRUE(loader.next(batch));
    ASSERT_TRUE(reference.next(expected));
    ASSERT_TRUE(same(batch, expected));
  }
  const std::string what = refusal<DataError>([&] {
    while (loader.next(batch)) {
    }
  });
  EXPECT_SAYS(what, "a.jsonl:1001: 'text' is a number");
}

TEST_P(TokenLoaderTest, BadShardsAreSkippedCountedAndNamedOnce) {
  const Texts texts = random_texts(600, 11);
  const Texts files{folder_.write("a.jsonl", "not json\n"), folder_.write("b.jsonl", jsonl(texts)),
                    folder_.write("c.jsonl.gz", test::gzip(jsonl(texts)).substr(0, 200))};
  auto o = options();
  o.documents.skip_bad_shards = true;
  TokenLoader loader(whole(files), tokenizer(), o);
  TokenBatch batch;
  while (batch.epoch < 4) ASSERT_TRUE(loader.next(batch));
  const auto skipped = loader.skipped();
  ASSERT_EQ(skipped.size(), 2U);
  EXPECT_SAYS(skipped[0], "a.jsonl:1: not valid JSON");
  EXPECT_SAYS(skipped[1], "c.jsonl.gz");

  TokenLoader nothing({{.file = files[0]}}, tokenizer(), o);
  EXPECT_SAYS(refusal<DataError>([&] { static_cast<void>(nothing.next(batch)); }),
              "nothing in it can be read: ");
}

TEST_P(TokenLoaderTest, AMissingFileIsNamedAtOnce) {
  EXPECT_SAYS(refusal<NotFoundError>(
                  [&] { TokenLoader({{.file = "/nowhere/a.jsonl"}}, tokenizer(), options()); }),
              "/nowhere/a.jsonl");
}

TEST_P(TokenLoaderTest, ResumingOnAnythingElseIsRefused) {
  const Texts texts = random_texts(600, 12);
  const std::string file = folder_.write("a.jsonl", jsonl(texts));
  TokenBatch batch;
  const auto state_of = [&] {
    TokenLoader loader(whole({file}), tokenizer(), options());
    EXPECT_TRUE(loader.next(batch));
    return loader.state();
  };
  const LoaderState state = state_of();
  const auto resume = [&](const Texts& files, const TokenLoaderOptions& o, const LoaderState& s,
                          const Tokenizer& t = tokenizer()) {
    return refusal<UsageError>([&] { TokenLoader(whole(files), t, o, s); });
  };
  const std::string other = folder_.write("b.jsonl", jsonl(texts) + "\n");
  EXPECT_SAYS(resume({other}, options(), state), "1 files of ");
  EXPECT_SAYS(resume({file, other}, options(), state), "2 files of ");
  EXPECT_SAYS(resume({folder_.write("c.jsonl", jsonl(texts))}, options(), state),
              "the same sizes, but other names");
  EXPECT_SAYS(resume({file}, options(1, 2), state), "rank 1 of 2 processes");
  auto o = options();
  o.packing = o.packing == Packing::kStream ? Packing::kBestFit : Packing::kStream;
  EXPECT_SAYS(resume({file}, o, state), "packed by");
  o = options();
  o.documents.text_field = "body";
  EXPECT_SAYS(resume({file}, o, state), "text options");
  Texts bytes;
  for (int byte = 0; byte < 256; ++byte) bytes.emplace_back(1, static_cast<char>(byte));
  EXPECT_SAYS(resume({file}, options(), state, Tokenizer(Vocabulary::from_tokens(bytes))),
              "this tokenizer is not the one");
  if (GetParam() == Packing::kBestFit) {
    o = options();
    o.sequence_len = 41;
    EXPECT_SAYS(resume({file}, o, state), "--sequence-len 40, not 41");
  }
  // The same size, and a change at the end.
  std::string changed = jsonl(texts);
  changed[changed.size() - 3] = changed[changed.size() - 3] == '"' ? ' ' : '"';
  folder_.write("a.jsonl", changed);
  EXPECT_SAYS(resume({file}, options(), state), "the training data have changed");
}

TEST_P(TokenLoaderTest, ADamagedStateIsRefused) {
  const std::string file = folder_.write("a.jsonl", jsonl(random_texts(600, 13)));
  TokenLoader loader(whole({file}), tokenizer(), options());
  TokenBatch batch;
  ASSERT_TRUE(loader.next(batch));
  const LoaderState good = loader.state();
  const auto resume = [&](const LoaderState& s) {
    return refusal<DataError>([&] { TokenLoader(whole({file}), tokenizer(), options(), s); });
  };
  LoaderState bad = good;
  bad.position = good.position.substr(0, 30);
  EXPECT_SAYS(resume(bad), "the data loader's state is damaged: it is not JSON");
  auto json = nlohmann::json::parse(good.position);
  json.erase("offset");
  bad.position = json.dump();
  EXPECT_SAYS(resume(bad), "'offset' is missing in it");
  if (GetParam() == Packing::kStream) return;
  bad = good;
  bad.tokens.pop_back();
  EXPECT_SAYS(resume(bad), "its documents do not fit their lengths");
  bad = good;
  bad.tokens[5] = 1'000'000;
  EXPECT_SAYS(resume(bad), "its documents do not fit their lengths");
  bad = good;
  bad.lengths[0] = -1;
  EXPECT_SAYS(resume(bad), "its documents do not fit their lengths");
}

TEST_P(TokenLoaderTest, ItCanBeDestroyedAtAnyMoment) {
  const Texts files{folder_.write("a.jsonl", jsonl(random_texts(4000, 14))),
                    folder_.write("b.jsonl.zst", test::zstd(jsonl(random_texts(4000, 15))))};
  std::mt19937_64 random(16);
  for (int i = 0; i < 60; ++i) {
    TokenLoader loader(whole(files), tokenizer(), options(i % 3, 3));
    TokenBatch batch;
    const uint64_t n = random() % 4 * (random() % 60);
    for (uint64_t k = 0; k < n; ++k) ASSERT_TRUE(loader.next(batch));
    if (i % 4 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
  }
}

TEST(StreamPacking, StatesOfUpstreamsKindGoOnAtTheNextRowGroup) {
  const TemporaryFolder folder;
  const std::vector<Texts> texts{random_texts(3000, 17)};
  const Texts files{folder.write("a.jsonl", jsonl(texts[0]))};
  const TokenLoaderOptions o = small_options(Packing::kStream);
  TokenLoader loader(whole(files), tokenizer(), o);
  TokenBatch batch, expected;
  ASSERT_TRUE(loader.next(batch));
  LoaderState state = loader.state();
  auto json = nlohmann::json::parse(state.position);
  json["group"] = batch.group + 1;
  json["document"] = json["offset"] = json["token"] = 0;
  state.position = json.dump();
  TokenLoader resumed(whole(files), tokenizer(), o, state);
  Corpus rest = corpus_of(texts);
  rest[0].erase(rest[0].begin());
  ReferenceLoader reference(rest, o);
  ASSERT_TRUE(resumed.next(batch));
  ASSERT_TRUE(reference.next(expected));
  EXPECT_EQ(batch.ids, expected.ids);
}

}  // namespace
}  // namespace nanochat
