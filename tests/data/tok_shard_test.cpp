#include "data/tok_shard.h"

#include <cstring>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "data/split.h"
#include "data/token_loader.h"
#include "data/tokenize.h"
#include "support/compressed.h"
#include "support/temporary_folder.h"
#include "tokenizer/formats.h"
#ifdef NANOCHAT_ARROW
#include "support/parquet_file.h"
#include "support/refusal.h"
#endif

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using test::TemporaryFolder;
using Texts = std::vector<std::string>;

Tokenizer tokenizer_of(const Texts& merges, size_t n_more = 0) {
  Texts tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  tokens.insert(tokens.end(), merges.begin(), merges.end());
  for (size_t i = 0; i < n_more; ++i) tokens.push_back(fmt::format("zz{:06}", i));
  return Tokenizer(Vocabulary::from_tokens(tokens));
}

const Tokenizer& small() {
  static const Tokenizer instance = tokenizer_of({"th", "the", " t", " the", "er", "an"});
  return instance;
}
/// Its ids need four bytes.
const Tokenizer& large() {
  static const Tokenizer instance = tokenizer_of({"th", "the", "an"}, 70000);
  return instance;
}

Texts texts(int n) {
  Texts out;
  for (int i = 0; i < n; ++i) {
    out.push_back(i % 37 == 0 ? "" : fmt::format("the {} water and {}\n", i, i * i));
  }
  return out;
}

std::string jsonl(const Texts& documents) {
  std::string lines;
  for (const std::string& text : documents) lines += nlohmann::json{{"text", text}}.dump() + "\n";
  return lines;
}

using test::refusal;

class TokShardTest : public testing::Test {
 protected:
  /// The .tok files of text files, in a folder of their own.
  Texts tokenize(const Texts& files, const Tokenizer& tokenizer,
                 const DocumentSourceOptions& options = {}) {
    const fs::path out = folder_ / fmt::format("out{}", n_outs_++);
    fs::create_directories(out);
    const std::vector<fs::path> paths(files.begin(), files.end());
    const auto names = tok_file_names(paths);
    Texts toks;
    for (size_t i = 0; i < paths.size(); ++i) {
      tokenize_file(paths[i], out / names[i], tokenizer, options, [](int64_t) {});
      toks.push_back((out / names[i]).string());
    }
    return toks;
  }

  TemporaryFolder folder_;
  int n_outs_ = 0;
};

/// Training and validation on either give the same batches, in both packings, for every rank.
void expect_same_batches(const Texts& files, const Texts& toks, const Tokenizer& tokenizer,
                         int max_world_size = 2) {
  const DataSplit of_text = split_data(files);
  const DataSplit of_tok = split_data(toks);
  for (const bool is_val : {false, true}) {
    for (const Packing packing : {Packing::kStream, Packing::kBestFit}) {
      for (int world_size = 1; world_size <= (is_val ? 1 : max_world_size); ++world_size) {
        SCOPED_TRACE(fmt::format("val {} best fit {} world size {}", is_val,
                                 packing == Packing::kBestFit, world_size));
        TokenLoaderOptions options;
        options.device_batch_size = 2;
        options.sequence_len = 50;
        options.packing = packing;
        options.rank = world_size - 1;
        options.world_size = world_size;
        options.buffer_size = 60;
        TokenLoader a(is_val ? of_text.val : of_text.train, tokenizer, options);
        TokenLoader b(is_val ? of_tok.val : of_tok.train, tokenizer, options);
        TokenBatch from_text, from_tok;
        for (int n = 0; n < 1000 && from_text.epoch < 3; ++n) {
          ASSERT_TRUE(a.next(from_text));
          ASSERT_TRUE(b.next(from_tok));
          ASSERT_EQ(from_text.ids, from_tok.ids) << n;
          ASSERT_EQ(from_text.targets, from_tok.targets) << n;
          ASSERT_EQ(from_text.epoch, from_tok.epoch) << n;
          ASSERT_EQ(from_text.group, from_tok.group) << n;
        }
      }
    }
  }
}

TEST_F(TokShardTest, TrainingOnTokensGivesTheBatchesOfTheText) {
  const Texts files{folder_.write("a.jsonl", jsonl(texts(2100))),
                    folder_.write("b.jsonl.gz", test::gzip(jsonl(texts(1500)))),
                    folder_.write("c.jsonl", jsonl(texts(700)))};
  expect_same_batches(files, tokenize(files, small()), small());
  expect_same_batches(files, tokenize(files, large()), large());
}

TEST_F(TokShardTest, ASingleFileIsCutAtTheSameDocument) {
  const Texts files{folder_.write("a.jsonl", jsonl(texts(2345)))};
  expect_same_batches(files, tokenize(files, small()), small());
}

TEST_F(TokShardTest, ABookIsCutAtTheSamePlace) {
  std::string book;
  for (int i = 0; i < 60000; ++i) book += fmt::format("the {} water and\n{}", i, i % 9 ? "" : "\n");
  const Texts files{folder_.write("book.txt", book)};
  const Texts toks = tokenize(files, small());
  EXPECT_GT(TokShard(toks[0]).header().cut_token, 0);
  TokenLoaderOptions options;
  options.device_batch_size = 4;
  options.sequence_len = 500;
  options.endless = false;
  const DataSplit of_text = split_data(files), of_tok = split_data(toks);
  for (const bool is_val : {false, true}) {
    TokenLoader a(is_val ? of_text.val : of_text.train, small(), options);
    TokenLoader b(is_val ? of_tok.val : of_tok.train, small(), options);
    TokenBatch from_text, from_tok;
    int n = 0;
    for (;; ++n) {
      const bool more = a.next(from_text);
      ASSERT_EQ(more, b.next(from_tok));
      if (!more) break;
      ASSERT_EQ(from_text.ids, from_tok.ids) << n;
    }
    EXPECT_GT(n, 10);
  }
}

#ifdef NANOCHAT_ARROW
TEST_F(TokShardTest, RowGroupsOfParquetAreKept) {
  test::ParquetOptions groups;
  groups.rows_per_group = 90;
  const Texts files{(folder_ / "a.parquet").string(), (folder_ / "b.parquet").string()};
  test::write_parquet(files[0], texts(1000), groups);
  test::write_parquet(files[1], texts(300), groups);
  expect_same_batches(files, tokenize(files, small()), small(), 3);
  // A single one: the last tenth of its documents begins inside a row group.
  expect_same_batches({files[0]}, tokenize({files[0]}, small()), small(), 3);
}
#endif

TEST_F(TokShardTest, ResumesInTheMiddleOfItsDocuments) {
  const Texts files{folder_.write("a.jsonl", jsonl(texts(300))),
                    folder_.write("b.jsonl", jsonl(texts(10)))};
  const DataSplit split = split_data(tokenize(files, small()));
  for (const Packing packing : {Packing::kStream, Packing::kBestFit}) {
    TokenLoaderOptions options;
    options.device_batch_size = 1;
    options.sequence_len = 33;
    options.packing = packing;
    options.tokenizer_batch_size = 8;
    options.buffer_size = 20;
    TokenLoader uninterrupted(split.train, small(), options);
    auto loader = std::make_unique<TokenLoader>(split.train, small(), options);
    TokenBatch a, b;
    while (a.epoch < 3) {
      ASSERT_TRUE(uninterrupted.next(a));
      ASSERT_TRUE(loader->next(b));
      ASSERT_EQ(a.ids, b.ids);
      const LoaderState state = loader->state();
      loader = std::make_unique<TokenLoader>(split.train, small(), options, state);
    }
  }
}

TEST_F(TokShardTest, AnyFlippedBitAndAnyCutIsRefusedByName) {
  const Texts files{folder_.write("a.jsonl", jsonl(texts(41)))};
  const std::string tok = tokenize(files, small())[0];
  const std::string good = read_file(tok, 1 << 20);
  TokenLoaderOptions options;
  options.sequence_len = 20;
  options.endless = false;
  const auto read_all = [&](const std::string& bytes) {
    folder_.write("bad.tok", bytes);
    TokenLoader loader({{.file = folder_ / "bad.tok"}}, small(), options);
    TokenBatch batch;
    while (loader.next(batch)) {
    }
  };
  EXPECT_NO_THROW(read_all(good));
  for (size_t i = 0; i < good.size(); i += i < 32 || i + 100 > good.size() ? 1 : 7) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ (1 << i % 8));
    const std::string what = refusal<DataError>([&] { read_all(bad); });
    EXPECT_SAYS(what, "bad.tok: ") << "byte " << i;
  }
  for (const size_t size : {size_t{0}, size_t{1}, size_t{50}, good.size() / 2, good.size() - 1}) {
    EXPECT_SAYS(refusal<DataError>([&] { read_all(good.substr(0, size)); }), "bad.tok: ");
  }
  EXPECT_SAYS(refusal<DataError>([&] { read_all(good + "x"); }), "bad.tok: ");
}

TEST_F(TokShardTest, AnIdBehindTheVocabularyIsRefused) {
  {
    TokShardWriter writer(folder_ / "a.tok", {.vocab_size = small().vocab_size(),
                                              .tokenizer = checksum_of(small().vocabulary())});
    writer.append(std::vector<int32_t>{1, 2, small().vocab_size()});
    writer.end_document();
    writer.commit();
  }
  const TokShard shard(folder_ / "a.tok");
  EXPECT_SAYS(refusal<DataError>([&] { shard.check_group(0); }), "a.tok: row group 0 has the id");
}

TEST_F(TokShardTest, TokensOfAnotherTokenizerAreRefusedAlsoWhenBadShardsAreSkipped) {
  const Texts files{folder_.write("a.jsonl", jsonl(texts(41)))};
  const std::string tok = tokenize(files, small())[0];
  TokenLoaderOptions options;
  options.documents.skip_bad_shards = true;
  TokenLoader loader({{.file = tok}}, large(), options);
  TokenBatch batch;
  const std::string what = refusal<UsageError>([&] { static_cast<void>(loader.next(batch)); });
  EXPECT_SAYS(what, "a.jsonl.tok: made with another tokenizer");
}

TEST_F(TokShardTest, WhatIsThereAlreadyIsKnownAgainUnlessAnythingChanged) {
  const std::string text = folder_.write("a.jsonl", jsonl(texts(41)));
  const std::string tok = tokenize({text}, small())[0];
  const auto header = find_tokenized(text, tok, small(), {});
  ASSERT_TRUE(header);
  EXPECT_EQ(header->n_documents, 41);
  EXPECT_FALSE(find_tokenized(text, folder_ / "other.tok", small(), {}));
  EXPECT_FALSE(find_tokenized(text, tok, large(), {}));
  EXPECT_FALSE(find_tokenized(text, tok, small(), {.text_field = "body"}));
  std::string bytes = read_file(tok, 1 << 20);
  bytes[40] ^= 1;
  folder_.write("damaged.tok", bytes);
  EXPECT_FALSE(find_tokenized(text, folder_ / "damaged.tok", small(), {}));
  folder_.write("a.jsonl", jsonl(texts(42)));
  EXPECT_FALSE(find_tokenized(text, tok, small(), {}));
}

TEST_F(TokShardTest, ABadTextLeavesNoFile) {
  const std::string text = folder_.write("a.jsonl", jsonl(texts(2000)) + "not json\n");
  EXPECT_SAYS(refusal<DataError>([&] { tokenize({text}, small()); }), "a.jsonl:2001");
  EXPECT_TRUE(fs::is_empty(folder_ / "out0"));
}

TEST_F(TokShardTest, NamesKeepTheOrderOfTheFiles) {
  using Paths = std::vector<fs::path>;
  EXPECT_EQ(tok_file_names(Paths{"x/a.jsonl", "y/b.txt"}), (Paths{"a.jsonl.tok", "b.txt.tok"}));
  EXPECT_EQ(tok_file_names(Paths{"x/b.txt", "x/a.txt"}),
            (Paths{"00000-b.txt.tok", "00001-a.txt.tok"}));
  EXPECT_EQ(tok_file_names(Paths{"x/a.txt", "y/a.txt"}),
            (Paths{"00000-a.txt.tok", "00001-a.txt.tok"}));
}

TEST_F(TokShardTest, TextAndTokensTogetherAreRefused) {
  const std::string text = folder_.write("a.jsonl", jsonl(texts(3)));
  const std::string tok = tokenize({text}, small())[0];
  EXPECT_SAYS(refusal<UsageError>([&] {
                static_cast<void>(split_data(Texts{text, tok}));
              }),
              "name files of one kind");
}

}  // namespace
}  // namespace nanochat
