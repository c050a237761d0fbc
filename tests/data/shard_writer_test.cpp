#include "data/shard_writer.h"

#include <csignal>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "core/error.h"
#include "data/document_source.h"
#include "support/temporary_folder.h"
#ifdef NANOCHAT_ARROW
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#endif

namespace nanochat {
namespace {

namespace fs = std::filesystem;

#ifndef NANOCHAT_ARROW

TEST(ShardWriterTest, WithoutArrowTheRefusalSaysWhatToDo) {
  const test::TemporaryFolder folder;
  try {
    ShardWriter writer(folder / "a.parquet");
    FAIL() << "no error";
  } catch (const UsageError& e) {
    EXPECT_NE(std::string_view(e.what()).find("install pyarrow"), std::string_view::npos);
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

#else

std::vector<std::string> sample_texts(int n) {
  std::vector<std::string> texts;
  for (int i = 0; i < n; ++i) {
    texts.push_back(fmt::format("document {} \u4f60\u597d {}", i * 7919 % 1000,
                                std::string(static_cast<size_t>(i % 50), 'x')));
  }
  texts[static_cast<size_t>(n) / 2].clear();
  return texts;
}

void write_shard(const fs::path& path, const std::vector<std::string>& texts, size_t group) {
  ShardWriter writer(path);
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  for (size_t i = 0; i < views.size(); i += group) {
    writer.write_row_group(std::span(views).subspan(i, std::min(group, views.size() - i)));
  }
  writer.commit();
}

std::vector<std::string> read_shard(const fs::path& path) {
  DocumentSource source(std::vector<fs::path>{path});
  std::vector<std::string> texts;
  for (DocumentBatch batch; source.next(batch);) {
    texts.insert(texts.end(), batch.documents.begin(), batch.documents.end());
  }
  return texts;
}

TEST(ShardWriterTest, DocumentsComeBackAsTheyWere) {
  const test::TemporaryFolder folder;
  const auto texts = sample_texts(2500);
  write_shard(folder / "a.parquet", texts, 1024);
  EXPECT_EQ(read_shard(folder / "a.parquet"), texts);
}

TEST(ShardWriterTest, TheFileIsLaidOutAsUpstreamsShards) {
  const test::TemporaryFolder folder;
  write_shard(folder / "a.parquet", sample_texts(2500), 1024);
  const auto reader = parquet::ParquetFileReader::OpenFile((folder / "a.parquet").string());
  const auto metadata = reader->metadata();
  ASSERT_EQ(metadata->num_columns(), 1);
  EXPECT_EQ(metadata->schema()->Column(0)->name(), "text");
  EXPECT_TRUE(metadata->schema()->Column(0)->logical_type()->is_string());
  ASSERT_EQ(metadata->num_row_groups(), 3);
  const int64_t rows[] = {1024, 1024, 452};
  for (int i = 0; i < 3; ++i) {
    const auto group = metadata->RowGroup(i);
    EXPECT_EQ(group->num_rows(), rows[i]);
    const auto column = group->ColumnChunk(0);
    EXPECT_EQ(column->compression(), parquet::Compression::ZSTD);
    EXPECT_FALSE(column->is_stats_set());
    EXPECT_FALSE(column->has_dictionary_page());
  }
}

TEST(ShardWriterTest, AShardThatIsNotCommittedLeavesNothing) {
  const test::TemporaryFolder folder;
  {
    ShardWriter writer(folder / "a.parquet");
    const std::string_view document = "x";
    writer.write_row_group({&document, 1});
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(ShardWriterTest, AFullDiskIsOneClearErrorAndLeavesNothing) {
  const test::TemporaryFolder folder;
  struct rlimit old {};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{4096, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  std::string says;
  try {
    std::vector<std::string> texts = sample_texts(20000);  // more than AtomicFile's buffer
    uint32_t random = 1;
    for (std::string& text : texts) {
      for (int i = 0; i < 100; ++i) {
        random = random * 1664525U + 1013904223U;
        text += static_cast<char>('a' + (random >> 24) % 26);
      }
    }
    write_shard(folder / "a.parquet", texts, 1024);
  } catch (const IoError& e) {
    says = e.what();
  }
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_NE(says.find("a.parquet: cannot write"), std::string::npos) << says;
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

#endif

}  // namespace
}  // namespace nanochat
