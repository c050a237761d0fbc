// labels: parity
/// The batches of upstream's own loaders, both revisions, on documents made of given tokens.
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "data/tok_shard.h"
#include "data/token_loader.h"
#include "support/fixtures.h"
#include "support/temporary_folder.h"
#include "tokenizer/formats.h"

namespace nanochat {
namespace {

using nlohmann::json;
using test::TemporaryFolder;

/// Its bos is none of the ids of the fixture, where it is 0, which is a byte to us.
const Tokenizer& tokenizer() {
  static const Tokenizer instance = [] {
    Vocabulary vocabulary;
    for (int byte = 0; byte < 256; ++byte) {
      vocabulary.tokens.emplace_back(1, static_cast<char>(byte));
    }
    vocabulary.specials["<|bos|>"] = 60000;
    return Tokenizer(vocabulary);
  }();
  return instance;
}

/// The fixture's files, as .tok.
std::vector<DataPart> write_files(const json& files, const TemporaryFolder& folder) {
  std::vector<DataPart> parts;
  for (const json& file : files) {
    const auto path = folder / fmt::format("shard_{:05}.tok", parts.size());
    TokShardWriter writer(path, {.vocab_size = tokenizer().vocab_size(),
                                 .tokenizer = checksum_of(tokenizer().vocabulary())});
    for (const json& group : file) {
      for (const json& document : group) {
        writer.append(document.get<std::vector<int32_t>>());
        writer.end_document();
      }
      writer.end_group();
    }
    writer.commit();
    parts.push_back({.file = path});
  }
  return parts;
}

std::vector<int32_t> flat(const json& rows, int32_t bos) {
  std::vector<int32_t> ids;
  for (const json& row : rows) {
    for (const json& id : row) {
      ids.push_back(id.get<int32_t>() == bos ? tokenizer().bos_id() : id.get<int32_t>());
    }
  }
  return ids;
}

void expect_batch(const TokenBatch& batch, const json& expected, int32_t bos) {
  EXPECT_EQ(batch.ids, flat(expected.at("inputs"), bos));
  EXPECT_EQ(batch.targets, flat(expected.at("targets"), bos));
  const json& state = expected.at("state");
  EXPECT_EQ(batch.file, state.at("pq_idx"));
  EXPECT_EQ(batch.group, state.at("rg_idx"));
  EXPECT_EQ(batch.epoch, state.value("epoch", 1));  // classic's runs end within one
}

/// Where upstream goes on from one of its states: at the next row group of the rank.
LoaderState upstream_state(LoaderState state, const json& upstream, int rank, int world_size) {
  json position = json::parse(state.position);
  position["epoch"] = upstream.value("epoch", 1);
  position["file"] = upstream.at("pq_idx");
  const int64_t stripe = upstream.at("rg_idx").get<int64_t>() / world_size + 1;
  position["group"] = stripe * world_size + rank;
  position["document"] = position["offset"] = position["token"] = 0;
  return {.position = position.dump(), .tokens = {}, .lengths = {}};
}

void check_case(const json& fixture, const json& c, Packing packing) {
  const TemporaryFolder folder;
  std::vector<DataPart> parts = write_files(fixture.at("files"), folder);
  const DataPart last = parts.back();
  parts.pop_back();
  if (c.at("split") == "val") parts = {last};
  const auto bos = fixture.at("bos").get<int32_t>();
  TokenLoaderOptions options;
  options.device_batch_size = fixture.at("B");
  options.sequence_len = fixture.at("T");
  options.packing = packing;
  options.rank = c.at("rank");
  options.world_size = c.at("world_size");
  options.tokenizer_batch_size = c.at("tokenizer_batch_size");
  options.buffer_size = c.value("buffer_size", options.buffer_size);

  TokenLoader loader(parts, tokenizer(), options);
  TokenBatch batch;
  const LoaderState start = loader.state();
  for (size_t i = 0; i < c.at("batches").size(); ++i) {
    SCOPED_TRACE(fmt::format("batch {}", i));
    ASSERT_TRUE(loader.next(batch));
    expect_batch(batch, c.at("batches")[i], bos);
  }
  // Upstream's classic loader hangs after the last document; ours goes on.
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(loader.next(batch));

  if (!c.contains("resumed_from_state_of_batch_2")) return;
  const json& state = c.at("batches")[2].at("state");
  TokenLoader resumed(parts, tokenizer(), options,
                      upstream_state(start, state, options.rank, options.world_size));
  for (const json& expected : c.at("resumed_from_state_of_batch_2")) {
    SCOPED_TRACE("resumed");
    ASSERT_TRUE(resumed.next(batch));
    expect_batch(batch, expected, bos);
  }
}

void check_revision(const std::string& name, Packing packing) {
  const auto paths = test::find_fixtures(name + "/dataloader.json");
  if (paths.empty()) GTEST_SKIP() << test::missing_fixture(name + "/dataloader.json");
  const json fixture = test::load_json(paths.front());
  int64_t n_resumed = 0;
  for (const json& c : fixture.at("cases")) {
    json where = c;
    where.erase("batches");
    where.erase("resumed_from_state_of_batch_2");
    SCOPED_TRACE(where.dump());
    n_resumed += c.contains("resumed_from_state_of_batch_2") ? 1 : 0;
    check_case(fixture, c, packing);
  }
  EXPECT_GT(fixture.at("cases").size(), 0U);
  EXPECT_GT(n_resumed, 0);
}

TEST(TokenLoaderParity, StreamGivesClassicUpstreamsBatches) {
  check_revision("classic", Packing::kStream);
}

TEST(TokenLoaderParity, BestFitGivesModernUpstreamsBatches) {
  check_revision("modern", Packing::kBestFit);
}

}  // namespace
}  // namespace nanochat
