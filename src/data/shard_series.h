/// Documents into shards, one after the other. Behind convert_documents().
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/converter.h"
#include "data/shard_writer.h"

namespace nanochat {

/// Decides where shards end, as convert_documents() promises; the totals are known beforehand.
class ShardCuts {
 public:
  ShardCuts(int64_t documents, int64_t characters, const ConvertOptions& options);

  /// Counts the next document. True: the shard ends behind it.
  [[nodiscard]] bool ends_after(int64_t characters);

 private:
  int64_t documents_, characters_;  // still to come
  int64_t shard_chars_, row_group_;
  int64_t latest_first_cut_;  // the first shard ends here at the latest
  int64_t shard_documents_ = 0, shard_characters_ = 0;
  bool is_first_ = true;
};

class ShardSeries {
 public:
  ShardSeries(std::filesystem::path folder, ShardCuts cuts, int64_t row_group);

  void add(std::string_view document, int64_t characters);
  /// The shards, all committed, in the folder given.
  [[nodiscard]] std::vector<ConvertedShard> finish();

 private:
  void write_group();
  void end_shard();

  std::filesystem::path folder_;
  ShardCuts cuts_;
  size_t row_group_;
  std::unique_ptr<ShardWriter> writer_;
  std::vector<std::string> group_;  // documents not written yet; strings are used again
  size_t group_size_ = 0;
  std::vector<ConvertedShard> shards_;
};

}  // namespace nanochat
