// Small pickles of our own making, and seeds of the fuzzer that Python and tiktoken wrote.
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "core/file.h"
#include "support/temporary_folder.h"
#include "tokenizer/formats.h"
#include "tokenizer/pickle_reader.h"
#include "tokenizer/small_vocabulary.h"

namespace nanochat {
namespace {

using namespace std::string_literals;

/// What tiktoken pickled, by protocol: the vocabulary {th, the, " the", in, ing}.
std::string seed(int protocol) {
  return read_file(std::filesystem::path(NANOCHAT_SOURCE_DIR) /
                       fmt::format("fuzz/corpus/pickle/protocol{}", protocol),
                   10'000);
}
Vocabulary seed_vocabulary() { return test::small_vocabulary({"th", "the", " the", "in", "ing"}); }

std::string refusal(const std::string& pickle) {
  try {
    static_cast<void>(read_pickled_encoding(pickle, "some.pkl"));
  } catch (const DataError& e) {
    const std::string what = e.what();
    EXPECT_TRUE(what.starts_with("some.pkl: byte ")) << what;
    EXPECT_EQ(what.find('\n'), std::string::npos) << what;
    return what;
  }
  ADD_FAILURE() << "not refused";
  return "";
}

// Protocol 4, as Python writes it, without memos.
std::string text(std::string_view s) {
  return fmt::format("\x8c{}{}", static_cast<char>(s.size()), s);
}
std::string bytes(std::string_view s) {
  return fmt::format("C{}{}", static_cast<char>(s.size()), s);
}
std::string small_int(int x) { return fmt::format("K{}", static_cast<char>(x)); }
const std::string kStart = "\x80\x04";
const std::string kEncoding = text("tiktoken.core") + text("Encoding") + "\x93" + ")\x81";

std::string fields(std::string_view ranks, std::string_view specials) {
  return "}(" + text("name") + text("n") + text("pat_str") + text("p+") + text("mergeable_ranks") +
         std::string(ranks) + text("special_tokens") + std::string(specials) + "u";
}
std::string pickle(std::string_view ranks, std::string_view specials) {
  return kStart + kEncoding + fields(ranks, specials) + "b.";
}
const std::string kRanks = "}(" + bytes("a") + small_int(0) + bytes("bc"s) + small_int(1) + "u";
const std::string kSpecials = "}" + text("<s>") + small_int(2) + "s";

TEST(Pickle, ReadsWhatPythonWroteInEveryProtocol) {
  for (int protocol = 2; protocol <= 5; ++protocol) {
    SCOPED_TRACE(protocol);
    EXPECT_EQ(read_pickled_encoding(seed(protocol), "f").name, "rustbpe");
    EXPECT_EQ(parse_pickle(seed(protocol), "f"), seed_vocabulary());
  }
}

TEST(Pickle, RefusesTheProtocolsOfPython2) {
  EXPECT_NE(refusal(seed(0)).find("not a Python pickle of protocol 2 or later"), std::string::npos);
}

TEST(Pickle, ReadsTheSmallestEncoding) {
  const PickledEncoding encoding = read_pickled_encoding(pickle(kRanks, kSpecials), "f");
  using Numbers = std::vector<std::pair<std::string, int64_t>>;
  EXPECT_EQ(encoding.name, "n");
  EXPECT_EQ(encoding.pattern, "p+");
  EXPECT_EQ(encoding.ranks, (Numbers{{"a", 0}, {"bc", 1}}));
  EXPECT_EQ(encoding.specials, (Numbers{{"<s>", 2}}));
}

TEST(Pickle, ReadsLongFormsOfNumbersAndBytes) {
  const std::string ranks = "}(" + "B\x01\0\0\0a"s + "J\xff\xff\xff\xff"s + "B\0\0\0\0"s +
                            "J\x00\x00\x01\x00"s + bytes("c") + "M\x01\x02"s + "u";
  const PickledEncoding encoding = read_pickled_encoding(pickle(ranks, kSpecials), "f");
  EXPECT_EQ(encoding.ranks[0].second, -1);
  EXPECT_EQ(encoding.ranks[1].second, 65536);
  EXPECT_EQ(encoding.ranks[2].second, 513);
}

TEST(Pickle, ReadsBytesThatProtocol2SpellsAsACall) {
  const std::string encode = "c_codecs\nencode\n";
  const std::string call = encode + "X\x03\0\0\0a\xc3\xbf"s + "X\x06\0\0\0latin1"s + "\x86R";
  EXPECT_EQ(
      read_pickled_encoding(pickle("}" + call + small_int(7) + "s", kSpecials), "f").ranks[0].first,
      "a\xff");
  const std::pair<std::string, std::string> refused[] = {
      {encode + text("a") + text("rot13") + "\x86R", "other arguments"},
      {encode + text("a") + small_int(1) + "\x86R", "other arguments"},
      {encode + text("\xe4\xbd\xa0") + text("latin1") + "\x86R", "not latin1"},
      {encode + text("\xc3") + text("latin1") + "\x86R", "not latin1"},
      {text("encode") + text("a") + text("latin1") + "\x86R", "the function encode was expected"},
      {encode + text("a") + "R", "a pair of arguments was expected"}};
  for (const auto& [spelling, expected] : refused) {
    const std::string what = refusal(pickle("}" + spelling + small_int(7) + "s", kSpecials));
    EXPECT_NE(what.find(expected), std::string::npos) << what << "\nexpected: " << expected;
  }
}

TEST(Pickle, ExecutesNothing) {
  const test::TemporaryFolder folder;
  const std::string command = "touch " + (folder / "executed").string();
  const std::string argument =
      "X" + std::string(1, static_cast<char>(command.size())) + "\0\0\0"s + command;
  const std::pair<std::string, std::string> attacks[] = {
      // pickle.dumps of an object whose __reduce__ is (os.system, (command,)), protocols 4 and 2.
      {"\x80\x04" + text("posix") + "\x94" + text("system") + "\x94\x93\x94" + argument +
           "\x94\x85\x94R\x94.",
       "'posix.system'"},
      {"\x80\x02" + "cposix\nsystem\nq\x00"s + argument + "q\x01\x85q\x02Rq\x03."s,
       "'posix.system'"},
      // The same before, inside and after an encoding that is all right.
      {kStart + "cos\nsystem\n" + argument + "\x85R" + pickle(kRanks, kSpecials).substr(2),
       "'os.system'"},
      {pickle("}" + bytes("a") + "cbuiltins\neval\n" + argument + "\x85Rs", kSpecials),
       "'builtins.eval'"},
      {kStart + kEncoding + fields(kRanks, kSpecials) + "b" + "cos\nsystem\n" + argument + "\x85R.",
       "after the object is complete"},
      // Through the two names that are known.
      {kStart + "c_codecs\nencode\n" + argument + text("latin1") + "\x86\x81.",
       "an empty tuple was expected"},
      {kStart + "ctiktoken.core\nEncoding\n" + argument + text("latin1") + "\x86R.",
       "the function encode was expected"},
      {kStart + "ctiktoken.core\nEncoding.__init__\n)\x81.", "'tiktoken.core.Encoding.__init__'"},
      // Other instructions that make Python's reader call something.
      {kStart + "(cos\nsystem\n" + argument + "o.", "'os.system'"},
      {kStart + "(" + argument + "ios\nsystem\n.", "the pickle instruction INST (0x69)"},
      {kStart + "(" + argument + "o.", "the pickle instruction OBJ (0x6f)"},
      {kStart + "Psomething\n.", "the pickle instruction PERSID (0x50)"},
      {kStart + argument + "Q.", "the pickle instruction BINPERSID (0x51)"},
      {kStart + "\x82\x01.", "the pickle instruction EXT1 (0x82)"},
      {kStart + ")}\x92.", "the pickle instruction NEWOBJ_EX (0x92)"}};
  for (const auto& [attack, expected] : attacks) {
    const std::string what = refusal(attack);
    EXPECT_NE(what.find(expected), std::string::npos) << what << "\nexpected: " << expected;
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Pickle, SaysWhatIsWrongAndWhere) {
  const std::tuple<std::string, std::string, int> cases[] = {
      {"", "the file ends too early", 0},
      {"\x80", "the file ends too early", 0},
      {"\x80\x01.", "pickle protocol 1", 0},
      {"\x80\x06.", "pickle protocol 6", 0},
      {"{}", "not a Python pickle", 0},
      {"\x80\x04", "the file ends too early", 2},
      {"\x80\x04.", "not a tiktoken.Encoding", 2},
      {"\x80\x04K", "the file ends too early", 2},
      {"\x80\x04\x8c\x05"
       "abc",
       "the file ends too early", 2},
      {"\x80\x04X\xff\xff\xff\xff", "the file ends too early", 2},
      {"\x80\x04"
       "cabc",
       "the file ends too early", 2},
      {"\x80\x04\x95\x01\0\0\0\0\0\0\0"s, "the file ends too early", 2},
      {"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xff"s, "the file ends too early", 2},
      {"\x80\x04N.", "the pickle instruction NONE (0x4e)", 2},
      {"\x80\x04\xff.", "the pickle instruction 0xff", 2},
      {"\x80\x04\x94.", "an empty stack", 2},
      {"\x80\x04)(\x94.", "an empty stack", 4},
      {"\x80\x04"
       "b",
       "an empty stack", 2},
      {"\x80\x04)b", "an empty stack", 3},
      {"\x80\x04))b", "a state for what is no object", 4},
      {"\x80\x04u", "no mark", 2},
      {"\x80\x04(u", "items for no dict", 3},
      {"\x80\x04)(u", "items for no dict", 4},
      {"\x80\x04}()u", "items for no dict", 5},
      {"\x80\x04}()(u", "items for no dict", 6},
      {"\x80\x04s", "items for no dict", 2},
      {"\x80\x04))s", "items for no dict", 4},
      {"\x80\x04)))s", "items for no dict", 5},
      {"\x80\x04)q\x01.", "a memo number out of order", 3},
      {"\x80\x04)q\0q\0."s, "a memo number out of order", 5},
      {"\x80\x04)r\0\0\0\x01."s, "a memo number out of order", 3},
      {"\x80\x04h\0."s, "a memo that is not there", 2},
      {"\x80\x04j\xff\xff\xff\xff.", "a memo that is not there", 2},
      {"\x80\x04)\x86.", "an empty stack", 3},
      {"\x80\x04\x93.", "an empty stack", 2},
      {"\x80\x04))\x93.", "the name of a class was expected", 4},
      {kStart + kEncoding + ".", "not a tiktoken.Encoding", 30},
      {kStart + kEncoding + ")b.", "a dict was expected", 31},
      {kStart + kEncoding + text("gpt2") + "b.", "only names tiktoken's encoding 'gpt2'", 36}};
  for (const auto& [pickle, expected, at] : cases) {
    const std::string what = refusal(pickle);
    EXPECT_TRUE(what.starts_with(fmt::format("some.pkl: byte {}: ", at))) << what;
    EXPECT_NE(what.find(expected), std::string::npos) << what << "\nexpected: " << expected;
  }
}

TEST(Pickle, WantsEachFieldOnceAndOfItsType) {
  const std::string name = text("name") + text("n");
  const auto state = [](const std::string& items) {
    return kStart + kEncoding + "}(" + items + "ub.";
  };
  const std::string rest = text("pat_str") + text("p") + text("mergeable_ranks") + kRanks +
                           text("special_tokens") + kSpecials;
  static_cast<void>(read_pickled_encoding(state(name + rest), "f"));
  const std::pair<std::string, std::string> cases[] = {
      {state(rest), "a field of Encoding is missing"},
      {state(name + name + rest), "'name' is wrong or there twice"},
      {state(text("name") + small_int(1) + rest), "'name' is wrong or there twice"},
      {state(text("name") + bytes("n") + rest), "'name' is wrong or there twice"},
      {state(name + rest + text("explicit_n_vocab") + small_int(1)), "no field 'explicit_n_vocab'"},
      {state(name + rest + small_int(1) + small_int(1)), "no field ''"},
      {pickle("}" + text("a") + small_int(0) + "s", kSpecials),
       "an item of 'mergeable_ranks' has the wrong type"},
      {pickle("}" + bytes("a") + text("0") + "s", kSpecials),
       "an item of 'mergeable_ranks' has the wrong type"},
      {pickle(kRanks, "}" + bytes("<s>") + small_int(0) + "s"),
       "an item of 'special_tokens' has the wrong type"},
      {pickle(kRanks, text("<s>")), "'special_tokens' is wrong or there twice"},
      {pickle(kRanks, kSpecials) + " ", "something follows the pickle"}};
  for (const auto& [pickle, expected] : cases) {
    const std::string what = refusal(pickle);
    EXPECT_NE(what.find(expected), std::string::npos) << what << "\nexpected: " << expected;
  }
}

TEST(Pickle, BoundsWhatAHostileFileCanTake) {
  EXPECT_NE(refusal(kStart + std::string(20, '(')).find("too deeply nested"), std::string::npos);
  EXPECT_NE(refusal(kStart + std::string(20, '}')).find("more dicts"), std::string::npos);
  EXPECT_NE(refusal(kStart + std::string(100'000, ')')).find("more values at once"),
            std::string::npos);
  EXPECT_NE(refusal(kStart + ")" + std::string((1 << 24) + 1, '\x94')).find("more memos"),
            std::string::npos);
}

TEST(Pickle, RefusesADictInItself) {
  // Python would make it; for us it is a value of the wrong type.
  EXPECT_NE(refusal(kStart + kEncoding + "}\x94" + text("name") + "h\0s"s + "b.").find("'name'"),
            std::string::npos);
}

TEST(Pickle, RefusesEveryTruncation) {
  for (int protocol = 2; protocol <= 5; ++protocol) {
    const std::string whole = seed(protocol);
    for (size_t size = 0; size < whole.size(); ++size) {
      EXPECT_THROW(static_cast<void>(parse_pickle(std::string_view(whole).substr(0, size), "f")),
                   DataError)
          << protocol << " " << size;
    }
  }
}

TEST(Pickle, ChecksTheVocabulary) {
  const auto says = [](const std::string& file) {
    try {
      static_cast<void>(parse_pickle(file, "some.pkl"));
    } catch (const DataError& e) {
      return std::string(e.what());
    }
    return "not refused"s;
  };
  const std::string good = seed(4);
  EXPECT_EQ(says(good), "not refused");
  const auto changed = [&](std::string_view from, std::string_view to) {
    std::string file = good;
    const size_t at = file.find(from);
    EXPECT_NE(at, std::string::npos);
    return file.replace(at, from.size(), to);
  };
  EXPECT_EQ(says(changed("K\x05"s, "K\x04"s)),
            "some.pkl: mergeable_ranks, item 5: the rank 4 is there twice");
  EXPECT_EQ(says(changed("C\x03the", "C\x03tha")), "not refused") << "other tokens are fine";
  EXPECT_NE(says(changed("C\x03ing", "C\x03the")).find("there twice"), std::string::npos);
  EXPECT_NE(says(changed("<|output_end|>", "<|user_start|>")).find("special token"),
            std::string::npos);
  EXPECT_NE(says(changed("<|bos|>", "<|bo\xff|>")).find("not UTF-8"), std::string::npos);
  EXPECT_NE(says(changed("M\x05\x01"s, "M\x04\x01"s)).find("taken or out of range"),
            std::string::npos);
}

}  // namespace
}  // namespace nanochat
