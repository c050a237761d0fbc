/// Parquet files as tables of nested columns; needs Arrow to write them.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/error.h"
#include "data/document_reader.h"
#include "support/temporary_folder.h"
#ifdef NANOCHAT_ARROW
#include "support/parquet_file.h"
#include "support/refusal.h"
#endif

namespace nanochat {
namespace {

#ifndef NANOCHAT_ARROW

TEST(ParquetRows, NeedArrow) { GTEST_SKIP() << "this build has no parquet support"; }

#else

using test::TemporaryFolder;
using Texts = std::vector<std::string>;

Texts read_rows(const std::string& path, int64_t batch_rows = 1024) {
  const auto reader = open_parquet_rows(path, batch_rows);
  Texts rows;
  DocumentBatch batch;
  while (reader->next(batch)) {
    EXPECT_FALSE(batch.documents.empty());
    EXPECT_LE(std::ssize(batch.documents), batch_rows);
    for (const std::string_view row : batch.documents) rows.emplace_back(row);
  }
  return rows;
}

TEST(ParquetRows, NestedColumnsComeAsJson) {
  const TemporaryFolder folder;
  const auto choices = arrow::struct_({arrow::field("text", arrow::list(arrow::utf8())),
                                       arrow::field("label", arrow::large_list(arrow::utf8()))});
  const auto message = arrow::struct_(
      {arrow::field("role", arrow::utf8()), arrow::field("content", arrow::large_utf8())});
  test::write_parquet_table(
      folder / "a.parquet",
      {arrow::field("choices", choices), arrow::field("messages", arrow::list(message)),
       arrow::field("n", arrow::int64()), arrow::field("x", arrow::float64()),
       arrow::field("yes", arrow::boolean())},
      R"([{"choices": {"text": ["a", "b\"\\"], "label": ["A", "B"]},
           "messages": [{"role": "user", "content": "\n\u0001"}, {"role": "assistant", "content": "好"}],
           "n": -3, "x": 0.1, "yes": true},
          {"choices": {"text": [], "label": null}, "messages": null, "n": null, "x": 2, "yes": false}])");
  EXPECT_EQ(
      read_rows((folder / "a.parquet").string()),
      (Texts{R"({"choices":{"text":["a","b\u0022\u005c"],"label":["A","B"]},"messages":)"
             R"([{"role":"user","content":"\u000a\u0001"},{"role":"assistant","content":"好"}],)"
             R"("n":-3,"x":0.1,"yes":true})",
             R"({"choices":{"text":[],"label":null},"messages":null,"n":null,"x":2,)"
             R"("yes":false})"}));
}

TEST(ParquetRows, AllRowGroupsComeInOrderAndInBatches) {
  const TemporaryFolder folder;
  std::string json;
  Texts expected;
  for (int i = 0; i < 100; ++i) {
    json += fmt::format("{}{{\"list\":[{}, {}]}}", i == 0 ? "[" : ",", i, i * i);
    expected.push_back(fmt::format("{{\"list\":[{},{}]}}", i, i * i));
  }
  test::write_parquet_table(folder / "a.parquet",
                            {arrow::field("list", arrow::list(arrow::int32()))}, json + "]", 7);
  EXPECT_EQ(read_rows((folder / "a.parquet").string(), 5), expected);
  EXPECT_EQ(read_rows((folder / "a.parquet").string()), expected);
}

TEST(ParquetRows, WhatHasNoJsonFormIsRefusedByName) {
  const TemporaryFolder folder;
  test::write_parquet_table(folder / "a.parquet", {arrow::field("day", arrow::date32())},
                            R"([{"day": 3}])");
  const std::string path = (folder / "a.parquet").string();
  const std::string says = test::refusal<DataError>([&] { read_rows(path); });
  EXPECT_SAYS(says, path);
  EXPECT_SAYS(says, "date32");
  EXPECT_SAYS(test::refusal<DataError>(
                  [&] { read_rows(folder.write("b.parquet", "PAR1 this is none PAR1")); }),
              "not readable as parquet");
  EXPECT_SAYS(test::refusal<NotFoundError>([&] { read_rows((folder / "c.parquet").string()); }),
              "c.parquet");
}

#endif

}  // namespace
}  // namespace nanochat
