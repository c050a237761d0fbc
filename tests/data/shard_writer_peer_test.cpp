// labels: peers
// pyarrow, called as upstream's repackaging calls it, writes the same bytes. Needs a Python with
// the pyarrow that this program was built with: $NANOCHAT_PEERS_PYTHON, else .cache/venv's.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "data/shard_writer.h"
#include "support/temporary_folder.h"

namespace nanochat {
namespace {

constexpr std::string_view kScript = R"py(
import sys
import pyarrow as pa, pyarrow.parquet as pq
texts = open(sys.argv[1], encoding="utf-8", newline="").read().split("\0")
pq.write_table(pa.Table.from_pydict({"text": texts}), sys.argv[2], row_group_size=1024,
               use_dictionary=False, compression="zstd", compression_level=3, write_statistics=False)
)py";

std::string python() {
  const char* const named = std::getenv("NANOCHAT_PEERS_PYTHON");
  return named ? named : NANOCHAT_SOURCE_DIR "/.cache/venv/bin/python";
}

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(ShardWriterPeerTest, PyarrowWritesTheSameBytes) {
  if (std::system((python() + " -c 'import pyarrow.parquet' 2>/dev/null").c_str()) != 0) {
    GTEST_SKIP() << python() << " has no package pyarrow: install it, or name another interpreter "
                 << "in NANOCHAT_PEERS_PYTHON";
  }
  const test::TemporaryFolder folder;
  std::vector<std::string> texts;
  std::string joined;
  for (int i = 0; i < 3000; ++i) {
    texts.push_back(fmt::format("document {} \u4f60\u597d {}", i * 7919 % 1000,
                                std::string(static_cast<size_t>(i * 31 % 5000), 'x')));
    joined += (i == 0 ? "" : std::string(1, '\0')) + texts.back();
  }
  const std::string script = folder.write("write.py", kScript);
  const std::string input = folder.write("texts", joined);
  const std::string theirs = (folder / "theirs.parquet").string();
  ASSERT_EQ(std::system(fmt::format("{} {} {} {}", python(), script, input, theirs).c_str()), 0);

  ShardWriter writer(folder / "ours.parquet");
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  for (size_t i = 0; i < views.size(); i += 1024) {
    writer.write_row_group(std::span(views).subspan(i, std::min<size_t>(1024, views.size() - i)));
  }
  writer.commit();
  EXPECT_TRUE(bytes_of(theirs) == bytes_of(folder / "ours.parquet"));
}

}  // namespace
}  // namespace nanochat
