#include "tokenizer/formats.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/file.h"
#include "support/temporary_folder.h"
#include "tokenizer/formats_merges.h"
#include "tokenizer/formats_text.h"
#include "tokenizer/small_vocabulary.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::small_vocabulary;

/// What the DataError says; fails the test when there is none.
template <typename F>
std::string refusal(const F& f) {
  try {
    f();
  } catch (const DataError& e) {
    const std::string what = e.what();
    EXPECT_EQ(what.find('\n'), std::string::npos) << what;
    return what;
  }
  ADD_FAILURE() << "not refused";
  return "";
}

/// As `text`, with the first `from` replaced.
std::string with(std::string text, std::string_view from, std::string_view to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  if (at != std::string::npos) text.replace(at, from.size(), to);
  return text;
}

/// Bytes in another order than by value, as GPT-2 has them.
Vocabulary permuted() {
  Vocabulary v = small_vocabulary();
  std::reverse(v.tokens.begin(), v.tokens.begin() + 256);
  return v;
}
/// "abc" cannot be merged from anything, "xyz" only from what comes after it.
Vocabulary without_all_merges() { return small_vocabulary({"abc", "xyz", "xy", "ab\n\\\"\x7f"}); }
Vocabulary with_own_pattern() {
  Vocabulary v = small_vocabulary();
  v.pattern = "\\p{L}+|\"quoted\"|\\n|\xe4\xb8\xad|.";
  v.specials = {{"<|endoftext|>", 263}, {"<\"\\|\xe4\xb8\xad>", 270}, {"a b", 900}};
  return v;
}
std::vector<Vocabulary> assorted() {
  Vocabulary no_specials = small_vocabulary({});
  no_specials.specials.clear();
  return {small_vocabulary(),   small_vocabulary({}), permuted(),
          without_all_merges(), with_own_pattern(),   no_specials};
}

// ---- base64

TEST(Base64, GivesTheVectorsOfTheRfc) {
  const std::pair<std::string, std::string> vectors[] = {
      {"", ""},
      {"f", "Zg=="},
      {"fo", "Zm8="},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="},
      {"fooba", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy"},
      {std::string("\xff\x00\xfb\xef", 4), "/wD77w=="}};
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(to_base64(bytes), text);
    EXPECT_EQ(from_base64(text), bytes);
  }
}

TEST(Base64, RefusesEveryOtherSpelling) {
  for (const char* const text : {"Z", "Zg", "Zg=", "Zg===", "=g==", "Zh==", "Zm9=", "Zm8=Zg==",
                                 "Z===", "====", "Zm9v\n", "Zm 9", "Zm-_"}) {
    EXPECT_EQ(from_base64(text), std::nullopt) << text;
  }
}

// ---- merges

TEST(FindMerges, GivesTheLastMergeOfEachToken) {
  const Vocabulary v = small_vocabulary();
  const std::vector<MergeParts> merges = find_merges(v.tokens);
  EXPECT_EQ(merges['a'], MergeParts{});
  EXPECT_EQ(merges[256], (MergeParts{'t', 'h'}));
  EXPECT_EQ(merges[257], (MergeParts{256, 'e'}));
  EXPECT_EQ(merges[258], (MergeParts{' ', 257}));
  EXPECT_EQ(merges[260], (MergeParts{259, 'g'}));
  EXPECT_EQ(merges[262], (MergeParts{261, 0xa0}));
}

TEST(FindMerges, TakesTheLowestRankThenTheLeftmost) {
  // aaaaa by aa(256), aaa(257), aaaaa: a a a a a -> aa a a a -> aa aa a -> aa aaa.
  const std::vector<MergeParts> runs = find_merges(small_vocabulary({"aa", "aaa", "aaaaa"}).tokens);
  EXPECT_EQ(runs[257], (MergeParts{256, 'a'}));
  EXPECT_EQ(runs[258], (MergeParts{256, 257}));
  // bc comes before ab, so abc is a + bc, and abcd (abc + d, or ab + cd) is a bc d -> abc d.
  const std::vector<MergeParts> abc =
      find_merges(small_vocabulary({"bc", "ab", "abc", "cd", "abcd"}).tokens);
  EXPECT_EQ(abc[258], (MergeParts{'a', 256}));
  EXPECT_EQ(abc[260], (MergeParts{258, 'd'}));
}

TEST(FindMerges, SeesWhenMergingDoesNotReachAToken) {
  const std::vector<MergeParts> merges = find_merges(without_all_merges().tokens);
  EXPECT_EQ(merges[256], MergeParts{});            // abc: neither ab nor bc is a token
  EXPECT_EQ(merges[257], (MergeParts{258, 'z'}));  // xyz: xy has a higher rank
}

TEST(FindMerges, IsNotSlowForAMegabyteOfOneLetter) {
  std::vector<std::string> runs;
  for (size_t n = 2; n <= size_t{1} << 20; n *= 2) runs.emplace_back(n, 'a');
  const std::vector<MergeParts> merges = find_merges(small_vocabulary(runs).tokens);
  EXPECT_EQ(merges.back(), (MergeParts{static_cast<int32_t>(merges.size()) - 2,
                                       static_cast<int32_t>(merges.size()) - 2}));
}

// ---- ours

TEST(OurFile, GivesBackEveryVocabulary) {
  for (const Vocabulary& v : assorted()) {
    const std::string file = format_ours(v);
    EXPECT_EQ(parse_ours(file, "f"), v);
    EXPECT_EQ(format_ours(parse_ours(file, "f")), file);
  }
}

TEST(OurFile, HoldsMergesWhereTheySayAllAndBytesElsewhere) {
  const json trained = json::parse(format_ours(small_vocabulary()));
  EXPECT_EQ(trained["merges"], json::parse("[[116,104],[256,101],[32,257],[105,110],[259,103],"
                                           "[228,189],[261,160]]"));
  EXPECT_FALSE(trained.contains("tokens"));
  EXPECT_EQ(trained["version"], 1);
  EXPECT_EQ(trained["specials"]["<|bos|>"], 263);
  for (const Vocabulary& v : {permuted(), without_all_merges()}) {
    const json file = json::parse(format_ours(v));
    EXPECT_FALSE(file.contains("merges"));
    EXPECT_EQ(file["tokens"].size(), v.tokens.size());
  }
}

TEST(OurFile, MayBeSpelledDifferentlyByAnotherProgram) {
  const Vocabulary v = with_own_pattern();
  const json file = json::parse(format_ours(v));
  EXPECT_EQ(parse_ours(file.dump(4, ' ', true), "f"), v);
  EXPECT_EQ(parse_ours(file.dump(), "f"), v);
}

TEST(OurFile, RefusesEveryFlippedBitAndEveryTruncation) {
  Vocabulary v = with_own_pattern();
  std::string file = format_ours(v);
  for (size_t size = 0; size < file.size(); ++size) {
    if (size + 1 == file.size()) continue;  // only the last line's end is missing: all is there
    EXPECT_THROW(static_cast<void>(parse_ours(std::string_view(file).substr(0, size), "f")),
                 DataError)
        << size << " bytes";
  }
  for (size_t bit = 0; bit < 8 * file.size(); ++bit) {
    file[bit / 8] = static_cast<char>(file[bit / 8] ^ (1 << bit % 8));
    EXPECT_THROW(static_cast<void>(parse_ours(file, "f")), DataError) << "bit " << bit;
    file[bit / 8] = static_cast<char>(file[bit / 8] ^ (1 << bit % 8));
  }
  EXPECT_EQ(parse_ours(file, "f"), v);
}

TEST(OurFile, RefusesFlippedBitsOfTheFormThatHoldsBytes) {
  const std::string good = format_ours(permuted());
  std::mt19937 random(7);  // a few of its 30,000 bits
  for (int i = 0; i < 1000; ++i) {
    std::string file = good;
    const size_t bit = random() % (8 * file.size());
    file[bit / 8] = static_cast<char>(file[bit / 8] ^ (1 << bit % 8));
    EXPECT_THROW(static_cast<void>(parse_ours(file, "f")), DataError) << "bit " << bit;
  }
}

TEST(OurFile, SaysWhatIsWrong) {
  const std::string file = format_ours(small_vocabulary());
  const auto says = [](const std::string& bytes) {
    return refusal([&] { static_cast<void>(parse_ours(bytes, "some/file")); });
  };
  const std::tuple<std::string, std::string, std::string> cases[] = {
      {"\"version\": 1", "\"version\": 2", "version 2"},
      {"nanochat-tokenizer", "other", "not a tokenizer of ours"},
      {"\"pattern\"", "\"other\"", "unknown field 'other'"},
      {"\"version\": 1", "\"version\": \"1\"", "'version' is a string"},
      {"[32,257]", "[32,258]", "merges[2] is not of earlier tokens"},
      {"[32,257]", "[32,-1]", "merges[2] is not of earlier tokens"},
      {"[32,257]", "[32,1.5]", "merges[2] is not of earlier tokens"},
      {"[32,257]", "[32]", "merges[2] is not a pair"},
      {"[32,257]", "{}", "merges[2] is not a pair"},
      {"[32,257]", "[32,256]", "checksum"},
      {"[32,257]", "[116,104]", "token 258 is there twice"},
      {": 263", ": 264", "taken or out of range"},
      {": 263", ": 4294967559", "has no id"},
      {"\"merges\"", "\"tokens\"", "tokens[0] is not base64"},
      {"\"merges\"", "\"tokens\": [], \"merges\"", "either merges or tokens"},
      {"{", "[", "not JSON, from byte"},
      {"xxh3\": \"", "xxh3\": \"0", "checksum"}};
  for (const auto& [from, to, expected] : cases) {
    const std::string what = says(with(file, from, to));
    EXPECT_TRUE(what.starts_with("some/file: ")) << what;
    EXPECT_NE(what.find(expected), std::string::npos) << what << "\nexpected: " << expected;
  }
  EXPECT_NE(says("[]").find("not a JSON object"), std::string::npos);
}

TEST(OurFile, IsRefusedBeforeItsTokensFillTheMemory) {
  std::string file = with(format_ours(small_vocabulary({})), "\"merges\": [", "\"merges\": [[0,0]");
  for (int id = 256; id < 256 + 60; ++id) {  // the last would have 2^61 bytes
    file.insert(file.size() - 4, fmt::format(",[{},{}]", id, id));
  }
  const std::string what = refusal([&] { static_cast<void>(parse_ours(file, "f")); });
  EXPECT_NE(what.find("too long"), std::string::npos) << what;
}

TEST(VocabularyChecksum, DependsOnEverything) {
  const Vocabulary v = small_vocabulary();
  std::vector<uint64_t> sums{checksum_of(v)};
  Vocabulary other = v;
  other.pattern += ' ';
  sums.push_back(checksum_of(other));
  other = v;
  other.tokens.pop_back();
  sums.push_back(checksum_of(other));
  other = v;
  std::swap(other.tokens[256], other.tokens[257]);
  sums.push_back(checksum_of(other));
  other = v;
  other.specials["<|bos|>"] = 500;
  sums.push_back(checksum_of(other));
  std::ranges::sort(sums);
  EXPECT_EQ(std::ranges::adjacent_find(sums), sums.end());
  // On every machine, for ever: files hold it.
  EXPECT_EQ(fmt::format("{:016x}", checksum_of(v)), "b8c512acb5bc4b45");
}

// ---- tiktoken

TEST(TiktokenFile, GivesBackTheTokens) {
  for (const Vocabulary& v : assorted()) {
    EXPECT_EQ(
        parse_tiktoken(format_tiktoken(v), "f", {.pattern = v.pattern, .specials = v.specials}), v);
  }
  const Vocabulary v = small_vocabulary();
  EXPECT_EQ(parse_tiktoken(format_tiktoken(v), "f"), v) << "upstream's pattern and specials";
}

TEST(TiktokenFile, IsLinesOfBase64AndRank) {
  const std::string file = format_tiktoken(small_vocabulary());
  EXPECT_TRUE(file.starts_with("AA== 0\nAQ== 1\n"));
  EXPECT_TRUE(file.ends_with("\n5L0= 261\n5L2g 262\n"));
}

TEST(TiktokenFile, MayHaveOtherOrderAndLineEnds) {
  const std::string file = format_tiktoken(small_vocabulary());
  std::string reversed;
  for (size_t begin = 0; begin < file.size();) {
    const size_t end = file.find('\n', begin);
    reversed = file.substr(begin, end - begin) + "\r\n\r\n" + reversed;
    begin = end + 1;
  }
  EXPECT_EQ(parse_tiktoken(reversed, "f"), small_vocabulary());
  EXPECT_EQ(parse_tiktoken(std::string_view(file).substr(0, file.size() - 1), "f"),
            small_vocabulary());
}

TEST(TiktokenFile, SaysWhatIsWrong) {
  const std::string file = format_tiktoken(small_vocabulary());
  const std::tuple<std::string, std::string, std::string> cases[] = {
      {"AQ== 1\n", "AQ= 1\n", "line 2: the token is not base64"},
      {"AQ== 1\n", "AQ== 1 \n", "line 2: the rank is not a number"},
      {"AQ== 1\n", "AQ== +1\n", "line 2: the rank is not a number"},
      {"AQ== 1\n", "AQ== \n", "line 2: the rank is not a number"},
      {"AQ== 1\n", "AQ== 99999999999999999999\n", "line 2: the rank is not a number"},
      {"AQ== 1\n", "AQ==1\n", "line 2: no space"},
      {"AQ== 1\n", " 1\n", "line 2: an empty token"},
      {"AQ== 1\n", "AQ== -1\n", "line 2: the rank -1 is negative"},
      {"AQ== 1\n", "AQ== 0\n", "line 2: the rank 0 is there twice"},
      {"AQ== 1\n", "AQ== 4000000000000\n", "no token has the rank 1"},
      {"AQ== 1\n", "", "no token has the rank 1"},
      {"AQ== 1\n", "AA== 1\n", "token 1 is there twice"}};
  for (const auto& [from, to, expected] : cases) {
    const std::string changed = with(file, from, to);
    const std::string what = refusal([&] { static_cast<void>(parse_tiktoken(changed, "f")); });
    EXPECT_NE(what.find(expected), std::string::npos) << what << "\nexpected: " << expected;
  }
  EXPECT_NE(refusal([] {
              static_cast<void>(parse_tiktoken("YQ== 0\n", "f"));
            }).find("no token for the byte 0x00"),
            std::string::npos);
}

// ---- Hugging Face

TEST(HuggingFaceFile, GivesBackEveryVocabulary) {
  for (const Vocabulary& v : assorted()) {
    EXPECT_EQ(parse_huggingface(format_huggingface(v), "f"), v);
  }
}

TEST(HuggingFaceFile, WritesBytesInTheAlphabetOfGpt2) {
  const json file = json::parse(format_huggingface(small_vocabulary()));
  const json& vocab = file["model"]["vocab"];
  EXPECT_EQ(vocab["A"], 'A');
  EXPECT_EQ(vocab["\u0120the"], 258);  // space
  EXPECT_EQ(vocab["\u010a"], '\n');
  EXPECT_EQ(vocab["\u0100"], 0);
  EXPECT_EQ(vocab["\u0143"], 0xad);  // the last of those that are moved
  EXPECT_EQ(vocab["\u00ff"], 0xff);
  EXPECT_EQ(file["model"]["merges"][2], "\u0120 the");
  EXPECT_EQ(file["added_tokens"][0]["content"], "<|bos|>");
  EXPECT_EQ(file["added_tokens"][0]["id"], 263);
  EXPECT_FALSE(vocab.contains("<|bos|>"));
}

TEST(HuggingFaceFile, PutsSpecialTokensIntoTheVocabularyWhereIdsHaveGaps) {
  // Else the package would number them itself.
  const json file = json::parse(format_huggingface(with_own_pattern()));
  EXPECT_EQ(file["model"]["vocab"]["a b"], 900);
  EXPECT_EQ(file["model"]["vocab"]["<|endoftext|>"], 263);
}

TEST(HuggingFaceFile, CannotHoldASpecialTokenSpelledAsAnOrdinaryOne) {
  Vocabulary v = small_vocabulary();
  v.specials["\u0120the"] = 300;  // " the" in this format
  EXPECT_NE(refusal([&] { static_cast<void>(format_huggingface(v)); }).find("\u0120the"),
            std::string::npos);
}

/// As other programs write files that mean the same.
TEST(HuggingFaceFile, ReadsOtherSpellings) {
  const Vocabulary v = small_vocabulary();
  const json ours = json::parse(format_huggingface(v));
  const std::pair<std::string_view, std::function<void(json&)>> variants[] = {
      {"pairs as lists",
       [](json& f) {
         for (json& m : f["model"]["merges"]) {
           const auto text = m.get<std::string>();
           const size_t space = text.find(' ');
           m = {text.substr(0, space), text.substr(space + 1)};
         }
       }},
      {"every split of every token, as transformers converts tiktoken",
       [](json& f) {
         f["model"]["merges"] = {"t h", "t he", "th e"};
         for (const char* const m :
              {"\u0120 the", "i n", "i ng", "in g", "\u00e4 \u00bd", "\u00e4\u00bd \u0142"}) {
           f["model"]["merges"].push_back(m);
         }
         f["model"]["vocab"].erase("\u0120the");
         f["model"]["vocab"]["\u0120the"] = 258;
         std::erase(f["model"]["merges"].get_ref<json::array_t&>(), json("t he"));
         std::erase(f["model"]["merges"].get_ref<json::array_t&>(), json("i ng"));
       }},
      {"specials also in the vocabulary", [](json& f) { f["model"]["vocab"]["<|bos|>"] = 263; }},
      {"without what may be left out",
       [](json& f) {
         for (const char* const name :
              {"version", "truncation", "padding", "normalizer", "post_processor", "decoder"}) {
           f.erase(name);
         }
         for (const char* const name : {"dropout", "unk_token", "byte_fallback", "ignore_merges",
                                        "continuing_subword_prefix"}) {
           f["model"].erase(name);
         }
       }},
      {"empty prefixes and a post-processor", [](json& f) {
         f["model"]["continuing_subword_prefix"] = "";
         f["model"]["end_of_word_suffix"] = "";
         f["model"]["byte_fallback"] = true;
         f["post_processor"] = {{"type", "ByteLevel"}, {"trim_offsets", false}};
       }}};
  for (const auto& [name, change] : variants) {
    SCOPED_TRACE(name);
    json file = ours;
    change(file);
    EXPECT_EQ(parse_huggingface(file.dump(), "f"), v);
  }
}

TEST(HuggingFaceFile, ReadsGpt2sOwnSplitting) {
  json file = json::parse(format_huggingface(small_vocabulary()));
  file["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
  EXPECT_TRUE(parse_huggingface(file.dump(), "f").pattern.starts_with("'s|'t|'re|"));
}

TEST(HuggingFaceFile, RefusesWhatWouldGiveOtherIds) {
  const json ours = json::parse(format_huggingface(small_vocabulary()));
  const std::pair<std::function<void(json&)>, std::string_view> cases[] = {
      {[](json& f) { f = json::array(); }, "not a JSON object"},
      {[](json& f) {
         f["normalizer"] = {{"type", "NFC"}};
       },
       "normalizer"},
      {[](json& f) {
         f["decoder"] = {{"type", "WordPiece"}};
       },
       "decoder"},
      {[](json& f) { f["decoder"] = 5; }, "decoder"},
      {[](json& f) { f.erase("pre_tokenizer"); }, "pre_tokenizer"},
      {[](json& f) { f["pre_tokenizer"]["pretokenizers"][0]["invert"] = true; }, "pre_tokenizer"},
      {[](json& f) { f["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Removed"; },
       "pre_tokenizer"},
      {[](json& f) {
         f["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {{"String", " "}};
       },
       "pre_tokenizer"},
      {[](json& f) { f["pre_tokenizer"]["pretokenizers"][1]["use_regex"] = true; },
       "pre_tokenizer"},
      {[](json& f) { f["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = true; },
       "pre_tokenizer"},
      {[](json& f) { f["pre_tokenizer"]["pretokenizers"].erase(0); }, "pre_tokenizer"},
      {[](json& f) {
         f["pre_tokenizer"] = {{"type", "Whitespace"}};
       },
       "pre_tokenizer"},
      {[](json& f) { f.erase("model"); }, "model: not of the type BPE"},
      {[](json& f) { f["model"]["type"] = "Unigram"; }, "model: not of the type BPE"},
      {[](json& f) { f["model"]["dropout"] = 0.1; }, "model.dropout"},
      {[](json& f) { f["model"]["end_of_word_suffix"] = "</w>"; }, "model.end_of_word_suffix"},
      {[](json& f) { f["model"].erase("vocab"); }, "model.vocab: missing"},
      {[](json& f) { f["model"]["vocab"] = 1; }, "model.vocab: not an object"},
      {[](json& f) { f["model"]["vocab"]["the"] = -1; }, "token 'the': no id"},
      {[](json& f) { f["model"]["vocab"]["the"] = 258; }, "the rank 258 is there twice"},
      {[](json& f) { f["model"]["vocab"]["the"] = 1000; }, "no token has the rank 257"},
      {[](json& f) { f["model"]["vocab"]["a b"] = 263; }, "byte-level alphabet"},
      {[](json& f) { f["model"]["vocab"]["\u4e2d"] = 263; }, "byte-level alphabet"},
      {[](json& f) { f["model"]["vocab"]["<|bos|>"] = 262; }, "another id than in added_tokens"},
      {[](json& f) { f["model"].erase("merges"); }, "model.merges: missing"},
      {[](json& f) { f["model"]["merges"][1] = "the"; }, "model.merges[1]: not a pair"},
      {[](json& f) { f["model"]["merges"][1] = {"th"}; }, "model.merges[1]: not a pair"},
      {[](json& f) { f["model"]["merges"][1] = "q q"; }, "not in the vocabulary"},
      {[](json& f) { f["model"]["merges"][1] = "\u4e2d \u4e2d"; }, "byte-level alphabet"},
      {[](json& f) { f["model"]["merges"][1] = "t he"; }, "not in the vocabulary"},
      {[](json& f) { f["model"]["merges"].erase(2); }, "its merge of 32 and 257 is missing"},
      {[](json& f) { std::swap(f["model"]["merges"][3], f["model"]["merges"][4]); },
       "in the order of the ids"},
      {[](json& f) { f["added_tokens"] = 1; }, "added_tokens: not a list"},
      {[](json& f) { f["added_tokens"][1] = 1; }, "added_tokens[1]: no id"},
      {[](json& f) { f["added_tokens"][1]["special"] = false; }, "added_tokens[1]"},
      {[](json& f) { f["added_tokens"][1]["content"] = nullptr; }, "added_tokens[1]: no content"},
      {[](json& f) { f["added_tokens"][1]["content"] = "<|bos|>"; }, "there twice"},
      {[](json& f) { f["added_tokens"][1]["id"] = 5; },
       "added_tokens: not supported, since the ids would differ: '<|user_start|>' has the id 5"},
      {[](json& f) { f["added_tokens"][1]["id"] = 263; }, "taken or out of range"}};
  int number = 0;
  for (const auto& [change, expected] : cases) {
    SCOPED_TRACE(number++);
    json file = ours;
    change(file);
    const std::string what =
        refusal([&] { static_cast<void>(parse_huggingface(file.dump(), "some/file")); });
    EXPECT_TRUE(what.starts_with("some/file: ")) << what;
    EXPECT_NE(what.find(expected), std::string::npos) << what << "\nexpected: " << expected;
  }
}

TEST(HuggingFaceFile, TakesTokensThatMergingDoesNotReachOnlyWithIgnoreMerges) {
  json file = json::parse(format_huggingface(without_all_merges()));
  EXPECT_EQ(parse_huggingface(file.dump(), "f"), without_all_merges());
  file["model"]["ignore_merges"] = false;
  EXPECT_NE(refusal([&] {
              static_cast<void>(parse_huggingface(file.dump(), "f"));
            }).find("ignore_merges is not true"),
            std::string::npos);
}

TEST(EveryFormat, RefusesAnInvalidVocabulary) {
  Vocabulary empty_token = small_vocabulary({""});
  Vocabulary bad_pattern = small_vocabulary();
  bad_pattern.pattern = "\xff";
  Vocabulary bad_special = small_vocabulary();
  bad_special.specials["\xc3"] = 900;
  for (const Vocabulary& v : {empty_token, bad_pattern, bad_special}) {
    EXPECT_THROW(static_cast<void>(format_ours(v)), DataError);
    EXPECT_THROW(static_cast<void>(format_tiktoken(v)), DataError);
    EXPECT_THROW(static_cast<void>(format_huggingface(v)), DataError);
  }
}

TEST(EveryFormat, HasATruncationRefused) {
  const Vocabulary v = small_vocabulary();
  const std::string huggingface = format_huggingface(v);
  for (size_t size = 0; size + 1 < huggingface.size(); size += 7) {
    EXPECT_THROW(
        static_cast<void>(parse_huggingface(std::string_view(huggingface).substr(0, size), "f")),
        DataError);
  }
  // Of ranks, whole lines may be missing at the end without a sign; half a line shows, unless what
  // is left of the last number is a number that fits.
  const std::string ranks = format_tiktoken(v);
  EXPECT_THROW(static_cast<void>(parse_tiktoken(ranks.substr(0, ranks.size() - 3), "f")),
               DataError);
}

// ---- files

class VocabularyFiles : public ::testing::Test {
 protected:
  test::TemporaryFolder folder_;
};

TEST_F(VocabularyFiles, AreFoundOutByTheirContents) {
  const Vocabulary v = small_vocabulary();
  for (const TokenizerFormat format :
       {TokenizerFormat::kOurs, TokenizerFormat::kHuggingFace, TokenizerFormat::kTiktoken}) {
    save_vocabulary(v, folder_ / "any.name", format);
    EXPECT_EQ(load_vocabulary(folder_ / "any.name"), v) << name_of(format);
  }
  fs::copy_file(fs::path(NANOCHAT_SOURCE_DIR) / "fuzz/corpus/pickle/protocol4",
                folder_ / "any.name", fs::copy_options::overwrite_existing);
  EXPECT_EQ(load_vocabulary(folder_ / "any.name").specials.size(), 9);
}

TEST_F(VocabularyFiles, OfAFolderAreTriedInOrder) {
  // A vocabulary each, so that it shows which file was taken.
  const Vocabulary ranks = small_vocabulary({"aa"});
  const Vocabulary theirs = small_vocabulary({"bb"});
  const Vocabulary ours = small_vocabulary({"cc"});
  EXPECT_THROW(static_cast<void>(load_vocabulary(folder_.path())), NotFoundError);
  save_vocabulary(ranks, folder_ / "other.tiktoken", TokenizerFormat::kTiktoken);
  EXPECT_EQ(load_vocabulary(folder_.path()), ranks);
  save_vocabulary(ranks, folder_ / "second.tiktoken", TokenizerFormat::kTiktoken);
  EXPECT_NE(
      refusal([&] { static_cast<void>(load_vocabulary(folder_.path())); }).find("name one of them"),
      std::string::npos);
  save_vocabulary(theirs, folder_.path(), TokenizerFormat::kHuggingFace);
  EXPECT_EQ(load_vocabulary(folder_.path()), theirs);
  save_vocabulary(ours, folder_.path());
  EXPECT_TRUE(fs::exists(folder_ / kTokenizerFileName));
  EXPECT_EQ(load_vocabulary(folder_.path()), ours);
}

TEST_F(VocabularyFiles, KeepTheSettingsThatRanksLeaveOpen) {
  const Vocabulary v = with_own_pattern();
  save_vocabulary(v, folder_.path(), TokenizerFormat::kTiktoken);
  EXPECT_EQ(load_vocabulary(folder_.path(), {.pattern = v.pattern, .specials = v.specials}), v);
}

TEST_F(VocabularyFiles, AreNamedInErrors) {
  const auto says = [&](std::string_view bytes, std::string_view name = "t.json") {
    write_file_atomically(folder_ / name, bytes);
    return refusal([&] { static_cast<void>(load_vocabulary(folder_ / name)); });
  };
  EXPECT_NE(says("").find("t.json: the file is empty"), std::string::npos);
  EXPECT_NE(says("hello").find("t.json: line 1: no space"), std::string::npos);
  EXPECT_NE(says("{}").find("t.json: pre_tokenizer"), std::string::npos);
  EXPECT_NE(says("\x80").find("t.json: byte"), std::string::npos);
  EXPECT_NE(says("{}", kTokenizerFileName).find("'format' is missing"), std::string::npos);
  EXPECT_THROW(static_cast<void>(load_vocabulary(folder_ / "absent")), NotFoundError);
}

TEST_F(VocabularyFiles, OfPythonAreNotWritten) {
  EXPECT_THROW(save_vocabulary(small_vocabulary(), folder_.path(), TokenizerFormat::kPickle),
               UsageError);
  EXPECT_TRUE(fs::is_empty(folder_.path()));
}

TEST(TokenizerFormats, HaveNames) {
  for (const TokenizerFormat format : {TokenizerFormat::kOurs, TokenizerFormat::kHuggingFace,
                                       TokenizerFormat::kPickle, TokenizerFormat::kTiktoken}) {
    EXPECT_EQ(tokenizer_format_from_name(name_of(format)), format);
  }
  EXPECT_EQ(tokenizer_format_from_name("gguf"), std::nullopt);
}

}  // namespace
}  // namespace nanochat
