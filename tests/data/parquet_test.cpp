/// Needs Arrow to write its files, as the module under test needs it to read them.
#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/error.h"
#include "data/document_source.h"
#include "support/sanitizers.h"
#include "support/temporary_folder.h"
#ifdef NANOCHAT_ARROW
#include "support/parquet_file.h"
#include "support/refusal.h"
#endif

namespace nanochat {
namespace {

using test::TemporaryFolder;
using Texts = std::vector<std::string>;

#ifndef NANOCHAT_ARROW

TEST(Parquet, WithoutArrowTheRefusalSaysWhatToDo) {
  const TemporaryFolder folder;
  const Texts paths{folder.write("a.parquet", "PAR1")};
  DocumentSource source{std::span<const std::string>(paths)};
  DocumentBatch batch;
  try {
    static_cast<void>(source.next(batch));
    FAIL() << "no error";
  } catch (const UsageError& e) {
    EXPECT_NE(std::string_view(e.what()).find("install pyarrow"), std::string_view::npos);
  }
}

#else

using test::ParquetOptions;
using test::write_parquet;

Texts read_all(const std::string& path, const DocumentSourceOptions& options = {}) {
  const Texts paths{path};
  DocumentSource source(std::span<const std::string>(paths), options);
  Texts texts;
  DocumentBatch batch;
  while (source.next(batch)) {
    EXPECT_FALSE(batch.documents.empty());
    EXPECT_LE(std::ssize(batch.documents), options.batch_documents);
    for (const std::string_view document : batch.documents) texts.emplace_back(document);
  }
  return texts;
}

std::string refusal(const std::string& path, const DocumentSourceOptions& options = {}) {
  try {
    read_all(path, options);
  } catch (const DataError& e) {
    return e.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

Texts sample_texts(int n) {
  Texts texts;
  for (int i = 0; i < n; ++i) {
    texts.push_back(fmt::format("document {} \u4f60\u597d {}", i * 7919 % 1000,
                                std::string(static_cast<size_t>(i % 50), 'x')));
  }
  texts[static_cast<size_t>(n) / 2].clear();
  return texts;
}

class ParquetTest : public ::testing::Test {
 protected:
  [[nodiscard]] std::string path() const { return (folder_ / "a.parquet").string(); }
  [[nodiscard]] std::string bytes() const {
    std::ifstream file(path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  TemporaryFolder folder_;
};

TEST_F(ParquetTest, EveryKindOfTextColumnGivesTheSameDocuments) {
  const Texts texts = sample_texts(3000);
  for (const auto& type : {arrow::utf8(), arrow::large_utf8(), arrow::binary(),
                           arrow::dictionary(arrow::int32(), arrow::utf8())}) {
    for (const auto compression : {parquet::Compression::UNCOMPRESSED, parquet::Compression::SNAPPY,
                                   parquet::Compression::ZSTD}) {
      ParquetOptions options;
      options.type = type;
      options.compression = compression;
      options.with_ids = compression == parquet::Compression::SNAPPY;
      write_parquet(path(), texts, options);
      EXPECT_EQ(read_all(path()), texts) << type->ToString();
    }
  }
}

TEST_F(ParquetTest, RowGroupsAndBatchesDoNotChangeWhatIsRead) {
  const Texts texts = sample_texts(1000);
  for (const int64_t rows : {1, 7, 999, 1000, 5000}) {
    ParquetOptions options;
    options.rows_per_group = rows;
    write_parquet(path(), texts, options);
    for (const int64_t n : {1, 100, 5000}) {
      DocumentSourceOptions source_options;
      source_options.batch_documents = n;
      EXPECT_EQ(read_all(path(), source_options), texts) << rows << ' ' << n;
    }
  }
}

TEST_F(ParquetTest, AFileWithoutRowsHoldsNothing) {
  write_parquet(path(), {});
  EXPECT_EQ(read_all(path()), Texts{});
}

TEST_F(ParquetTest, AnotherColumnCanHoldTheText) {
  ParquetOptions options;
  options.column = "content";
  write_parquet(path(), sample_texts(10), options);
  EXPECT_SAYS(refusal(path()), "no column 'text' (it has 'content')");
  DocumentSourceOptions source_options;
  source_options.text_field = "content";
  EXPECT_EQ(read_all(path(), source_options), sample_texts(10));
}

TEST_F(ParquetTest, AColumnOfNumbersIsRefused) {
  ParquetOptions options;
  options.type = arrow::int64();
  write_parquet(path(), sample_texts(10), options);
  EXPECT_SAYS(refusal(path()), "column 'text' holds int64, not text");
}

TEST_F(ParquetTest, ANullIsNamedByRowGroupColumnAndRow) {
  ParquetOptions options;
  options.rows_per_group = 10;
  options.null_row = 27;
  write_parquet(path(), sample_texts(40), options);
  EXPECT_SAYS(refusal(path()), "a.parquet: row group 2, column 'text': row 7 is null");
}

TEST_F(ParquetTest, ACorruptPageIsNamedByRowGroupAndColumn) {
  ParquetOptions options;
  options.rows_per_group = 500;
  write_parquet(path(), sample_texts(1000), options);
  std::string broken = bytes();
  // The second group's page is in the file's second half, in front of the footer.
  for (size_t i = broken.size() / 2; i < broken.size() / 2 + 64; ++i) broken[i] = '\x55';
  folder_.write("a.parquet", broken);
  EXPECT_SAYS(refusal(path()), "a.parquet: row group 1, column 'text': ");
}

TEST_F(ParquetTest, EveryTruncationIsRefused) {
  write_parquet(path(), sample_texts(50));
  const std::string whole = bytes();
  for (size_t n = 0; n < whole.size(); n += 1 + whole.size() / 200) {
    folder_.write("a.parquet", std::string_view(whole).substr(0, n));
    EXPECT_SAYS(refusal(path()), "a.parquet") << n;
  }
}

TEST_F(ParquetTest, FlippedBitsNeverCrash) {
  write_parquet(path(), sample_texts(50));
  const std::string whole = bytes();
  uint32_t random = 12345;
  int refused = 0;
  for (int round = 0; round < 400; ++round) {
    std::string broken = whole;
    random = random * 1664525U + 1013904223U;
    const size_t bit = random % (whole.size() * 8);
    broken[bit / 8] = static_cast<char>(broken[bit / 8] ^ (1 << (bit % 8)));
    folder_.write("a.parquet", broken);
    try {
      read_all(path());
    } catch (const DataError&) {
      ++refused;
    } catch (const OutOfMemoryError&) {  // a length that no machine has
      ++refused;
    }
  }
  EXPECT_GT(refused, 100);
}

TEST_F(ParquetTest, JunkIsRefusedAndSkippedWhenAsked) {
  write_parquet(folder_ / "b.parquet", sample_texts(5));
  folder_.write("a.parquet", "this is no parquet file");
  EXPECT_SAYS(refusal(path()), "a.parquet");
  const Texts paths{folder_.path().string()};
  DocumentSourceOptions options;
  options.skip_bad_shards = true;
  DocumentSource source(std::span<const std::string>(paths), options);
  DocumentBatch batch;
  ASSERT_TRUE(source.next(batch));
  EXPECT_EQ(batch.documents.size(), 5U);
  EXPECT_FALSE(source.next(batch));
  EXPECT_EQ(source.skipped().size(), 1U);
}

TEST_F(ParquetTest, OnePageAtATimeIsHeldOfALargeRowGroup) {
  if (test::kSanitized) GTEST_SKIP() << "sanitizers keep freed memory";
  const auto peak_bytes = [] {
    struct rusage usage {};
    ::getrusage(RUSAGE_SELF, &usage);
    return int64_t{1024} * usage.ru_maxrss;
  };
  constexpr int kRows = 1 << 16;
  const pid_t writer = ::fork();  // whose memory is not counted here
  if (writer == 0) {
    Texts texts;
    for (int i = 0; i < kRows; ++i) {
      texts.push_back(fmt::format("{} {}", i, std::string(2000, 'x')));
    }
    ParquetOptions options;
    options.rows_per_group = kRows;  // 128 MiB in one row group
    options.compression = parquet::Compression::UNCOMPRESSED;
    write_parquet(path(), texts, options);
    ::_exit(0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(writer, &status, 0), writer);
  ASSERT_EQ(status, 0);
  const int64_t before = peak_bytes();
  int64_t rows = 0;
  const Texts paths{path()};
  DocumentSource source{std::span<const std::string>(paths)};
  for (DocumentBatch batch; source.next(batch);) rows += std::ssize(batch.documents);
  EXPECT_EQ(rows, kRows);
  EXPECT_LT(peak_bytes() - before, int64_t{32} << 20);
}

#endif

}  // namespace
}  // namespace nanochat
