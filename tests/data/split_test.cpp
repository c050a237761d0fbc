#include "data/split.h"

#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "data/grouped_documents.h"
#include "support/compressed.h"
#include "support/refusal.h"
#include "support/temporary_folder.h"
#include "tokenizer/safe_cut.h"
#include "tokenizer/tokenizer.h"

namespace nanochat {
namespace {

using test::TemporaryFolder;
using Texts = std::vector<std::string>;

std::string lines(int n) {
  std::string text;
  for (int i = 0; i < n; ++i) text += fmt::format("{{\"text\": \"{}\"}}\n", i);
  return text;
}

Texts names(const std::vector<DataPart>& parts) {
  Texts names;
  for (const DataPart& part : parts) {
    EXPECT_TRUE(part.is_whole());
    names.push_back(part.file.filename().string());
  }
  return names;
}

template <typename Expected>
std::string refusal(const Texts& paths, const Texts& val = {}) {
  return test::refusal<Expected>([&] { static_cast<void>(split_data(paths, val)); });
}

TEST(Split, TheLastFileIsHeldOut) {
  const TemporaryFolder folder;
  for (const char* name : {"c.jsonl", "a.jsonl", "b.jsonl"}) folder.write(name, lines(2));
  const DataSplit split = split_data(Texts{folder.path().string()});
  EXPECT_EQ(names(split.train), (Texts{"a.jsonl", "b.jsonl"}));
  EXPECT_EQ(names(split.val), Texts{"c.jsonl"});
}

TEST(Split, NamedFilesAreHeldOutInstead) {
  const TemporaryFolder folder;
  const std::string a = folder.write("x/a.jsonl", lines(2)),
                    b = folder.write("y/b.jsonl", lines(2));
  const DataSplit split = split_data(Texts{a}, Texts{b});
  EXPECT_EQ(names(split.train), Texts{"a.jsonl"});
  EXPECT_EQ(names(split.val), Texts{"b.jsonl"});
  EXPECT_SAYS(refusal<UsageError>({a, b}, {b}), "b.jsonl: named twice");
  EXPECT_SAYS(refusal<UsageError>({a, b, a}), "a.jsonl: named twice");
  EXPECT_SAYS(refusal<NotFoundError>({a}, {folder.path().string() + "/no.jsonl"}), "no.jsonl");
}

TEST(Split, ASingleFileGivesItsLastTenthOfDocumentsAtLeastOne) {
  const TemporaryFolder folder;
  for (const auto& [n, cut] : {std::pair(2, 1), {9, 8}, {19, 18}, {20, 18}, {2500, 2250}}) {
    for (const bool packed : {false, true}) {
      const std::string file = packed ? folder.write("a.jsonl.gz", test::gzip(lines(n)))
                                      : folder.write("a.jsonl", lines(n));
      const DataSplit split = split_data(Texts{file});
      EXPECT_EQ(split.train[0].end_document, cut) << n;
      EXPECT_EQ(split.val[0].begin_document, cut) << n;
      EXPECT_EQ(split.val[0].end_document, DataPart::kToTheEnd) << n;
    }
  }
}

TEST(Split, ABookIsCutBehindALineOrASpaceOrACharacter) {
  const TemporaryFolder folder;
  std::string book;
  for (int i = 0; i < 200; ++i) book += fmt::format("line {:03}\n", i);
  const DataSplit split = split_data(Texts{folder.write("book.txt", book)});
  EXPECT_EQ(split.train[0].end_offset, 180 * 9 + 9) << "the line that begins there still trains";
  EXPECT_EQ(split.val[0].begin_offset, 180 * 9 + 9);

  std::string words = book;
  for (char& c : words) c = c == '\n' ? ' ' : c;
  EXPECT_EQ(held_out_cut(words), 180 * 9 + 4);
  std::string chinese;
  for (int i = 0; i < 101; ++i) chinese += "\xe4\xbd\xa0";
  EXPECT_EQ(held_out_cut(chinese), 91 * 3);
  EXPECT_EQ(held_out_cut("ab"), 1);
  EXPECT_EQ(held_out_cut("a"), 0);
  EXPECT_EQ(held_out_cut("\xe4\xbd\xa0"), 0);
  EXPECT_EQ(held_out_cut(""), 0);
}

TEST(Split, TooLittleIsRefusedByName) {
  const TemporaryFolder folder;
  EXPECT_SAYS(refusal<DataError>({folder.write("a.txt", "x")}),
              "a.txt: its one document is too short");
  EXPECT_SAYS(refusal<DataError>({folder.write("a.jsonl", "\n")}), "a.jsonl: no documents in it");
  EXPECT_SAYS(refusal<DataError>({folder.write("a.txt", "")}), "a.txt: no documents in it");
}

TEST(GroupedDocuments, AnyGroupComesInAnyOrder) {
  const TemporaryFolder folder;
  GroupedDocuments documents(folder.write("a.jsonl", lines(2500)), {});
  EXPECT_EQ(documents.count(), 2500);
  for (const int group : {2, 0, 1, 1, 3, 2}) {
    ASSERT_EQ(documents.open_group(group), group < 3);
    if (group == 3) continue;
    documents.skip(10);
    std::string_view text;
    int next = group * 1024 + 10;
    while (documents.next(text)) ASSERT_EQ(text, std::to_string(next++));
    EXPECT_EQ(next, std::min(2500, (group + 1) * 1024));
  }
}

TEST(SafeCut, BothSidesEncodeToWhatTheWholeEncodesTo) {
  Texts tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  for (const char* t :
       {"th", "the", " t", " the", "\n\n", "\n ", ".\n", ".\n\n", "  ", "   ", "'s"}) {
    tokens.emplace_back(t);
  }
  const char* kParts[] = {"the",  " ",  "\n",   "\r",           "  ",           ".",
                          "'s",   "12", "\t",   "\xe4\xbd\xa0", "\xe3\x80\x80", "\xc2\xa0",
                          "\xff", "A",  " the", "\xe2\x80\xa8"};
  for (const std::string_view pattern : {kNanochatPattern, kGpt4Pattern}) {
    const Tokenizer tokenizer(Vocabulary::from_tokens(tokens, pattern));
    uint32_t random = 1;
    int n_cuts = 0;
    for (int round = 0; round < 3000; ++round) {
      std::string text;
      for (int i = 0; i < 20; ++i) {
        random = random * 1664525U + 1013904223U;
        text += kParts[(random >> 16) % std::size(kParts)];
      }
      const auto whole = tokenizer.encode(text);
      for (size_t cut = find_safe_cut(pattern, text, 0); cut != std::string_view::npos;
           cut = find_safe_cut(pattern, text, cut + 1)) {
        ++n_cuts;
        auto ids = tokenizer.encode(std::string_view(text).substr(0, cut));
        tokenizer.encode_to(std::string_view(text).substr(cut), ids);
        ASSERT_EQ(ids, whole) << testing::PrintToString(text) << " at " << cut;
      }
    }
    EXPECT_GT(n_cuts, 1000);
    EXPECT_EQ(find_safe_cut("\\w+", "the the the", 2), std::string_view::npos);
  }
}

}  // namespace
}  // namespace nanochat
