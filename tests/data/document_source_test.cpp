#include "data/document_source.h"

#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "core/error.h"
#include "support/compressed.h"
#include "support/refusal.h"
#include "support/sanitizers.h"
#include "support/temporary_folder.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using test::gzip;
using test::TemporaryFolder;
using test::zstd;
using Texts = std::vector<std::string>;

/// All documents, checking that batches keep their promises.
Texts read_all(DocumentSource& source, int64_t batch_documents = 1024) {
  Texts texts;
  DocumentBatch batch;
  int64_t file = 0;
  while (source.next(batch)) {
    EXPECT_FALSE(batch.documents.empty());
    EXPECT_LE(std::ssize(batch.documents), batch_documents);
    EXPECT_GE(batch.file, file) << "files come in order";
    file = batch.file;
    EXPECT_LT(file, std::ssize(source.files()));
    for (const std::string_view document : batch.documents) texts.emplace_back(document);
  }
  EXPECT_TRUE(batch.documents.empty());
  EXPECT_FALSE(source.next(batch)) << "the end stays the end";
  return texts;
}

Texts read_all(const Texts& paths, const DocumentSourceOptions& options = {}) {
  DocumentSource source(std::span<const std::string>(paths), options);
  return read_all(source, options.batch_documents);
}

/// What reading `paths` to the end throws.
template <typename Expected>
std::string refusal(const Texts& paths, const DocumentSourceOptions& options = {}) {
  return test::refusal<Expected>([&] { read_all(paths, options); });
}

class DocumentSourceTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
};

TEST_F(DocumentSourceTest, ATextFileIsOneDocumentByteForByte) {
  const std::string bytes("caf\xc3\xa9\r\n\n\n\xff\xfe\0 end\n", 18);
  EXPECT_EQ(read_all({folder_.write("a.txt", bytes)}), Texts{bytes});
  EXPECT_EQ(read_all({folder_.write("a.txt.gz", gzip(bytes))}), Texts{bytes});
  EXPECT_EQ(read_all({folder_.write("a.txt.zst", zstd(bytes))}), Texts{bytes});
}

TEST_F(DocumentSourceTest, ASeparatorCutsATextFile) {
  DocumentSourceOptions options;
  options.txt_separator = "\n\n\n";
  const std::string bytes = "\n\n\none\n\ntwo\n\n\nthree\n\n\n\n\n\nfour\n";
  const Texts expected{"one\n\ntwo", "three", "four\n"};
  EXPECT_EQ(read_all({folder_.write("a.txt", bytes)}, options), expected);
  EXPECT_EQ(read_all({folder_.write("a.txt.gz", gzip(bytes))}, options), expected);
  EXPECT_EQ(read_all({folder_.write("a.txt.zst", zstd(bytes))}, options), expected);
  EXPECT_EQ(read_all({folder_.write("only.txt.gz", gzip("\n\n\n\n\n\n"))}, options), Texts{});
}

TEST_F(DocumentSourceTest, LongDocumentsAndManySeparatorsStreamAlike) {
  DocumentSourceOptions options;
  options.txt_separator = "<sep>";
  Texts expected;
  std::string bytes;
  for (int i = 0; i < 20; ++i) {  // 1 B to 20 MiB: below and above what a batch holds
    expected.emplace_back((size_t{1} << (i % 5 * 6)) + static_cast<size_t>(i),
                          static_cast<char>('a' + i));
    bytes += expected.back() + "<sep>";
  }
  bytes += std::string(3 << 20, '<');  // looks like a separator all along
  expected.emplace_back(3 << 20, '<');
  EXPECT_EQ(read_all({folder_.write("a.txt", bytes)}, options), expected);
  EXPECT_EQ(read_all({folder_.write("a.txt.zst", zstd(bytes))}, options), expected);
}

TEST_F(DocumentSourceTest, JsonLinesGiveTheirTextField) {
  const std::string lines =
      "\xEF\xBB\xBF{\"text\": \"one\"}\n"
      "\n"
      "  {\"id\": [1, {\"text\": \"inner\"}], \"text\": \"tw\\u00f6 "
      "\\n\\\"\\ud83d\\ude00\\\"\"}\r\n"
      "{\"text\": \"\"}\n"
      "{\"text\": \"\u4f60\u597d\", \"text\": \"last\"}";
  const Texts expected{"one", "tw\u00f6 \n\"\U0001F600\"", "", "last"};
  EXPECT_EQ(read_all({folder_.write("a.jsonl", lines)}), expected);
  EXPECT_EQ(read_all({folder_.write("a.jsonl.gz", gzip(lines))}), expected);
  EXPECT_EQ(read_all({folder_.write("a.jsonl.zst", zstd(lines))}), expected);
}

TEST_F(DocumentSourceTest, AnotherFieldCanHoldTheText) {
  DocumentSourceOptions options;
  options.text_field = "content";
  EXPECT_EQ(read_all({folder_.write("a.jsonl", R"({"text":"no","content":"yes"})")}, options),
            Texts{"yes"});
}

TEST_F(DocumentSourceTest, HalfASurrogatePairIsAReplacementCharacter) {
  const std::string lines = R"({"text": "a\ud83db"})"
                            "\n"
                            R"({"text": "\uDE00\ud83d\ud83d\ude00\\ud83d"})"
                            "\n";
  EXPECT_EQ(read_all({folder_.write("a.jsonl", lines)}),
            (Texts{"a\uFFFDb", "\uFFFD\uFFFD\U0001F600\\ud83d"}));
}

TEST_F(DocumentSourceTest, LinesLongerThanEveryBufferAreRead) {
  Texts expected;
  std::string lines;
  for (const size_t size : {size_t{1} << 20, size_t{3} << 20, size_t{1}, (size_t{1} << 20) - 12,
                            (size_t{1} << 20) - 11, size_t{20} << 20}) {
    expected.emplace_back(size, 'x');
    lines += fmt::format("{{\"text\":\"{}\"}}\n", expected.back());
  }
  EXPECT_EQ(read_all({folder_.write("a.jsonl", lines)}), expected);
  EXPECT_EQ(read_all({folder_.write("a.jsonl.gz", gzip(lines))}), expected);
}

TEST_F(DocumentSourceTest, BatchesDoNotChangeWhatIsRead) {
  Texts expected;
  std::string lines;
  for (int i = 0; i < 1000; ++i) {
    expected.push_back(fmt::format("document {}", i * i));
    lines += fmt::format("{{\"text\":\"{}\"}}\n", expected.back());
  }
  const Texts paths{folder_.write("a.jsonl", lines), folder_.write("b.jsonl", lines)};
  const Texts first_file = expected;
  expected.insert(expected.end(), first_file.begin(), first_file.end());
  for (const int64_t n : {1, 7, 999, 1000, 1001}) {
    DocumentSourceOptions options;
    options.batch_documents = n;
    EXPECT_TRUE(read_all(paths, options) == expected) << n;
  }
}

TEST_F(DocumentSourceTest, AFolderGivesItsFilesSortedByName) {
  folder_.write("f/b.jsonl", R"({"text":"2"})");
  folder_.write("f/c.txt", "3");
  folder_.write("f/a.txt.gz", gzip("1"));
  folder_.write("f/README.md", "not this");
  folder_.write("f/.hidden.txt", "nor this");
  folder_.write("f/inner/d.txt", "nor this");
  EXPECT_EQ(read_all({(folder_ / "f").string()}), (Texts{"1", "2", "3"}));
}

TEST_F(DocumentSourceTest, AGlobGivesWhatItMatchesSorted) {
  for (const char* name : {"shard_10.txt", "shard_02.txt", "other.txt", "shard_03.md"}) {
    folder_.write(name, name);
  }
  EXPECT_EQ(read_all({(folder_ / "shard_*").string()}), (Texts{"shard_02.txt", "shard_10.txt"}));
  const Texts twice{(folder_ / "o*.txt").string(), (folder_ / "other.txt").string()};
  EXPECT_EQ(read_all(twice), (Texts{"other.txt", "other.txt"}));
}

TEST_F(DocumentSourceTest, ANameWithWildcardsThatExistsIsThatFile) {
  folder_.write("a1.txt", "no");
  EXPECT_EQ(read_all({folder_.write("a[1].txt", "yes")}), Texts{"yes"});
}

TEST_F(DocumentSourceTest, APipeIsRead) {
  const std::string path = (folder_ / "pipe.txt").string();
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(path) << "through"; });
  EXPECT_EQ(read_all({path}), Texts{"through"});
  writer.join();
}

TEST_F(DocumentSourceTest, WhatIsNotThereIsNotFound) {
  EXPECT_SAYS(refusal<NotFoundError>({(folder_ / "none.txt").string()}), "none.txt");
  EXPECT_SAYS(refusal<NotFoundError>({(folder_ / "none*.txt").string()}), "none*.txt");
  EXPECT_SAYS(refusal<NotFoundError>({folder_.path().string()}), folder_.path().string());
}

TEST_F(DocumentSourceTest, AnUnknownEndingIsAUsageErrorBeforeAnythingIsRead) {
  const std::string good = folder_.write("a.txt", "a");
  for (const char* name : {"a.csv", "a", "a.gz", "a.parquet.gz", "jsonl"}) {
    const Texts paths{good, folder_.write(fmt::format("x/{}", name), "a")};
    EXPECT_THROW(DocumentSource{std::span<const std::string>(paths)}, UsageError) << name;
  }
}

TEST_F(DocumentSourceTest, AFolderNamedLikeAFileIsAFolder) {
  folder_.write("x.txt/a.txt", "inside");
  EXPECT_EQ(read_all({(folder_ / "x.txt").string()}), Texts{"inside"});
}

TEST_F(DocumentSourceTest, EmptyFilesHoldNothing) {
  const Texts paths{folder_.write("a.txt", ""),
                    folder_.write("b.jsonl", ""),
                    folder_.write("c.jsonl", "\n \n"),
                    folder_.write("d.txt.gz", gzip("")),
                    folder_.write("e.jsonl.zst", zstd("")),
                    folder_.write("f.txt", "f")};
  EXPECT_EQ(read_all(paths), Texts{"f"});
}

TEST_F(DocumentSourceTest, BadLinesAreNamedByTheirNumber) {
  const struct {
    const char* line;
    const char* says;
  } cases[] = {
      {"{\"text\": \"cut", "JSON"},
      {"{\"text\": \"a\"} x", "JSON"},
      {"{\"text\": \"a\", nonsense}", "JSON"},
      {"{\"text\": \"\xff\"}", "UTF-8"},
      {"{\"text\": \"\\q\"}", "JSON"},
      {"{\"text\": \"\\ud83d\\q\"}", "JSON"},
      {"{\"text\": \"a\tb\"}", "JSON"},
      {"[1, 2]", "object"},
      {"\"text\"", "object"},
      {"{\"text\": 7}", "'text' is a number"},
      {"{\"text\": null}", "'text' is null"},
      {"{\"text\": [\"a\"]}", "'text' is an array"},
      {"{\"body\": \"a\", \"id\": 1}", "it has 'body', 'id'"},
      {"{}", "it has none"},
  };
  for (const auto& bad : cases) {
    SCOPED_TRACE(bad.line);
    const std::string lines =
        fmt::format("{{\"text\":\"a\"}}\n\n{}\n{{\"text\":\"b\"}}\n", bad.line);
    const std::string path = folder_.write("bad.jsonl", lines);
    const std::string says = refusal<DataError>({path});
    EXPECT_TRUE(says.starts_with(path + ":3: ")) << says;
    EXPECT_SAYS(says, bad.says);
    EXPECT_EQ(says.find('\n'), std::string::npos);
  }
}

TEST_F(DocumentSourceTest, ACutOffLastLineIsCalledThat) {
  const std::string path = folder_.write("a.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b");
  EXPECT_SAYS(refusal<DataError>({path}), "cut off");
}

TEST_F(DocumentSourceTest, BinaryJunkIsRefusedWhereTextHasAForm) {
  std::string junk;
  for (uint32_t i = 0; i < 4096; ++i) junk += static_cast<char>((i * 2654435761U) >> 24);
  for (const char* name : {"a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.txt.gz", "a.txt.zst"}) {
    EXPECT_SAYS(refusal<DataError>({folder_.write(name, junk)}), name);
  }
}

TEST_F(DocumentSourceTest, EveryTruncationOfACompressedFileIsNoticed) {
  const std::string text = "{\"text\":\"" + std::string(100, 'a') + "bcd\"}\n{\"text\":\"e\"}\n";
  for (const auto& [name, bytes] :
       {std::pair{"a.jsonl.gz", gzip(text)}, {"a.jsonl.zst", zstd(text)}}) {
    ASSERT_EQ(read_all({folder_.write(name, bytes)}).size(), 2U);
    for (size_t n = 0; n < bytes.size(); ++n) {
      SCOPED_TRACE(fmt::format("{}: {} of {} bytes", name, n, bytes.size()));
      EXPECT_SAYS(refusal<DataError>({folder_.write(name, std::string_view(bytes).substr(0, n))}),
                  "incomplete");
    }
  }
}

TEST_F(DocumentSourceTest, AFlippedBitNeverChangesTheTextSilently) {
  const std::string text = "{\"text\":\"the quick brown fox jumps over the lazy dog\"}\n";
  const std::string doc = "the quick brown fox jumps over the lazy dog";
  for (const auto& [name, bytes] :
       {std::pair{"a.jsonl.gz", gzip(text)}, {"a.jsonl.zst", zstd(text)}}) {
    for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      std::string flipped = bytes;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
      try {
        for (const std::string& read : read_all({folder_.write(name, flipped)})) {
          EXPECT_EQ(read, doc) << name << " bit " << bit;  // a header's time or flags, say
        }
      } catch (const DataError&) {
      }
    }
  }
}

TEST_F(DocumentSourceTest, SeveralMembersOrFramesAreOneStream) {
  EXPECT_EQ(read_all({folder_.write("a.txt.gz", gzip("one ") + gzip("") + gzip("two"))}),
            Texts{"one two"});
  EXPECT_EQ(read_all({folder_.write("a.txt.zst", zstd("one ") + zstd("") + zstd("two"))}),
            Texts{"one two"});
}

TEST_F(DocumentSourceTest, GarbageBehindCompressedDataIsRefused) {
  EXPECT_SAYS(refusal<DataError>({folder_.write("a.txt.gz", gzip("one") + "garbage")}), "corrupt");
  EXPECT_SAYS(refusal<DataError>({folder_.write("a.txt.zst", zstd("one") + "garbage")}), "corrupt");
}

TEST_F(DocumentSourceTest, BadShardsAreSkippedAndCountedWhenAsked) {
  const Texts paths{folder_.write("a.txt", "a"),
                    folder_.write("b.jsonl", "{\"text\":\"b\"}\n{\"x\":1}\n"),
                    folder_.write("c.txt.gz", "junk"), folder_.write("d.txt", "d")};
  DocumentSourceOptions options;
  options.skip_bad_shards = true;
  DocumentSource source(std::span<const std::string>(paths), options);
  EXPECT_EQ(read_all(source), (Texts{"a", "b", "d"}));
  ASSERT_EQ(source.skipped().size(), 2U);
  EXPECT_SAYS(source.skipped()[0], "b.jsonl:2");
  EXPECT_SAYS(source.skipped()[1], "c.txt.gz");
}

TEST_F(DocumentSourceTest, WhatCameBeforeABadPlaceIsGivenOutWhateverTheBatch) {
  std::string lines;
  for (int i = 0; i < 10; ++i) lines += "{\"text\":\"good\"}\n";
  const std::string path = folder_.write("a.jsonl", lines + "bad\n");
  for (const int64_t n : {1, 3, 10, 1000}) {
    DocumentSourceOptions options;
    options.skip_bad_shards = true;
    options.batch_documents = n;
    EXPECT_EQ(read_all({path}, options).size(), 10U) << n;
  }
}

TEST_F(DocumentSourceTest, AFileThatVanishesBeforeItsTurnIsNotFound) {
  const Texts paths{folder_.write("a.txt", "a"), folder_.write("b.jsonl", "{\"text\":\"b\"}")};
  DocumentSource source{std::span<const std::string>(paths)};
  fs::remove(paths[1]);
  DocumentBatch batch;
  ASSERT_TRUE(source.next(batch));
  EXPECT_THROW(static_cast<void>(source.next(batch)), NotFoundError);
}

/// Streaming must not hold the corpus: the peak of this process may grow by far less than the text.
TEST_F(DocumentSourceTest, MemoryStaysBoundedWhileAFileIsStreamed) {
  if (test::kSanitized) GTEST_SKIP() << "sanitizers keep freed memory";
  const auto peak_bytes = [] {
    struct rusage usage {};
    ::getrusage(RUSAGE_SELF, &usage);
    return int64_t{1024} * usage.ru_maxrss;
  };
  std::string member;
  while (member.size() < (size_t{4} << 20)) {
    member += fmt::format("{{\"text\":\"{} {}\"}}\n", member.size(), std::string(1000, 'x'));
  }
  const auto lines = std::count(member.begin(), member.end(), '\n');
  const std::string compressed = gzip(member);
  std::string bytes;
  constexpr int kMembers = 64;  // 256 MiB
  for (int i = 0; i < kMembers; ++i) bytes += compressed;
  const Texts paths{folder_.write("a.jsonl.gz", bytes)};
  const int64_t before = peak_bytes();
  DocumentSource source{std::span<const std::string>(paths)};
  DocumentBatch batch;
  int64_t documents = 0;
  while (source.next(batch)) documents += std::ssize(batch.documents);
  EXPECT_EQ(documents, lines * kMembers);
  EXPECT_LT(peak_bytes() - before, int64_t{64} << 20);
}

}  // namespace
}  // namespace nanochat
