#include "tokenizer/pickle_reader.h"

#include <array>
#include <deque>
#include <optional>

#include <fmt/format.h>

#include "core/error.h"
#include "tokenizer/formats_text.h"
#include "tokenizer/utf8.h"

namespace nanochat {
namespace {

/// What Encoding's pickles need, with the names of Python's pickletools.
enum Opcode : uint8_t {
  kProto = 0x80,
  kFrame = 0x95,
  kStop = '.',
  kMark = '(',
  kEmptyDict = '}',
  kEmptyTuple = ')',
  kTuple2 = 0x86,
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kShortBinUnicode = 0x8C,
  kBinUnicode = 'X',
  kShortBinBytes = 'C',
  kBinBytes = 'B',
  kGlobal = 'c',
  kStackGlobal = 0x93,
  kNewObj = 0x81,
  kReduce = 'R',
  kBuild = 'b',
  kSetItem = 's',
  kSetItems = 'u',
  kMemoize = 0x94,
  kBinPut = 'q',
  kLongBinPut = 'r',
  kBinGet = 'h',
  kLongBinGet = 'j',
};

/// For messages only: instructions that other pickles are likely to have.
std::string describe(uint8_t opcode) {
  constexpr std::pair<uint8_t, std::string_view> kNames[] = {{kProto, "PROTO"},
                                                             {'i', "INST"},
                                                             {'o', "OBJ"},
                                                             {'P', "PERSID"},
                                                             {'Q', "BINPERSID"},
                                                             {0x82, "EXT1"},
                                                             {0x83, "EXT2"},
                                                             {0x84, "EXT4"},
                                                             {0x92, "NEWOBJ_EX"},
                                                             {0x85, "TUPLE1"},
                                                             {0x87, "TUPLE3"},
                                                             {'t', "TUPLE"},
                                                             {']', "EMPTY_LIST"},
                                                             {'a', "APPEND"},
                                                             {'e', "APPENDS"},
                                                             {'N', "NONE"},
                                                             {0x88, "NEWTRUE"},
                                                             {0x89, "NEWFALSE"},
                                                             {'G', "BINFLOAT"},
                                                             {0x8A, "LONG1"},
                                                             {0x8B, "LONG4"},
                                                             {0x8D, "BINUNICODE8"},
                                                             {0x8E, "BINBYTES8"},
                                                             {0x8F, "EMPTY_SET"},
                                                             {0x96, "BYTEARRAY8"},
                                                             {0x97, "NEXT_BUFFER"},
                                                             {'0', "POP"},
                                                             {'2', "DUP"},
                                                             {'I', "INT"},
                                                             {'S', "STRING"},
                                                             {'U', "SHORT_BINSTRING"},
                                                             {'T', "BINSTRING"}};
  for (const auto& [code, name] : kNames) {
    if (code == opcode) return fmt::format("{} (0x{:02x})", name, opcode);
  }
  return fmt::format("0x{:02x}", opcode);
}

enum class Kind : uint8_t {
  kInteger,
  kText,
  kBytes,
  kEmptyTuple,
  kPair,
  kDict,
  kEncodingClass,   // tiktoken.core Encoding
  kEncodeFunction,  // _codecs encode
  kEncoding,        // the object
};

struct Value {
  Kind kind = Kind::kInteger;
  int64_t integer = 0;      // the value; the index of a pair or a dict
  std::string_view text{};  // text or bytes, in the file or in decoded_
};

class PickleReader {
 public:
  PickleReader(std::string_view bytes, std::string_view where) : bytes_(bytes), where_(where) {}

  PickledEncoding read() {
    if (take_byte() != kProto) refuse("not a Python pickle of protocol 2 or later");
    const uint8_t protocol = take_byte();
    if (protocol < 2 || protocol > 5) refuse(fmt::format("pickle protocol {}", protocol));
    for (;;) {
      opcode_at_ = position_;
      const uint8_t opcode = take_byte();
      if (opcode == kStop) break;
      if (state_) refuse("an instruction after the object is complete");
      step(opcode);
    }
    if (position_ != bytes_.size()) refuse("something follows the pickle");
    if (stack_.size() != 1 || stack_[0].kind != Kind::kEncoding || !state_) {
      refuse("the pickle is not a tiktoken.Encoding");
    }
    return encoding();
  }

 private:
  using Dict = std::vector<std::pair<Value, Value>>;

  // What a real file stays far below. Each bounds what a small hostile file can take.
  static constexpr size_t kMaxStack = 1 << 16;  // Python sets 1000 items at a time
  static constexpr size_t kMaxMarks = 16;       // two are nested
  static constexpr size_t kMaxDicts = 16;       // there are three
  static constexpr size_t kMaxMemo = 1 << 24;   // at most three for each token

  [[noreturn]] void refuse(std::string_view what) const {
    throw DataError("{}: byte {}: {}: only an unchanged tokenizer.pkl of nanochat can be read",
                    where_, opcode_at_, what);
  }

  // ---- the file

  std::string_view take(uint64_t n) {
    if (n > bytes_.size() - position_) refuse("the file ends too early");
    const std::string_view taken = bytes_.substr(position_, n);
    position_ += n;
    return taken;
  }
  uint8_t take_byte() { return static_cast<uint8_t>(take(1)[0]); }
  uint64_t take_number(size_t n_bytes) {  // little-endian
    const std::string_view taken = take(n_bytes);
    uint64_t x = 0;
    for (size_t i = n_bytes; i-- > 0;) x = x << 8 | static_cast<uint8_t>(taken[i]);
    return x;
  }
  std::string_view take_line() {
    const size_t end = bytes_.find('\n', position_);
    if (end == std::string_view::npos) refuse("the file ends too early");
    const std::string_view line = bytes_.substr(position_, end - position_);
    position_ = end + 1;
    return line;
  }

  // ---- the stack, the memo

  void push(const Value& value) {
    if (stack_.size() >= kMaxStack) refuse("more values at once than such a file needs");
    stack_.push_back(value);
  }
  Value& top() {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) refuse("an empty stack");
    return stack_.back();
  }
  Value pop() {
    const Value value = top();
    stack_.pop_back();
    return value;
  }
  Value pop(Kind kind, std::string_view expected) {
    const Value value = pop();
    if (value.kind != kind) refuse(fmt::format("{} was expected", expected));
    return value;
  }
  void put(uint64_t index) {
    if (index != memo_.size()) refuse("a memo number out of order");
    if (memo_.size() >= kMaxMemo) refuse("more memos than such a file needs");
    memo_.push_back(top());
  }
  void get(uint64_t index) {
    if (index >= memo_.size()) refuse("a memo that is not there");
    push(memo_[index]);
  }

  // ---- instructions

  void step(uint8_t opcode) {
    switch (opcode) {
      case kFrame:  // a hint for reading in pieces
        if (take_number(8) > bytes_.size() - position_) refuse("the file ends too early");
        break;
      case kMark:
        if (marks_.size() >= kMaxMarks) refuse("too deeply nested");
        marks_.push_back(stack_.size());
        break;
      case kBinInt:
        push({.kind = Kind::kInteger,
              .integer = static_cast<int32_t>(static_cast<uint32_t>(take_number(4)))});
        break;
      case kBinInt1:
      case kBinInt2:
        push({.kind = Kind::kInteger,
              .integer = static_cast<int64_t>(take_number(opcode == kBinInt1 ? 1 : 2))});
        break;
      case kShortBinUnicode:
      case kBinUnicode:
        push({.kind = Kind::kText, .text = take(take_number(opcode == kBinUnicode ? 4 : 1))});
        break;
      case kShortBinBytes:
      case kBinBytes:
        push({.kind = Kind::kBytes, .text = take(take_number(opcode == kBinBytes ? 4 : 1))});
        break;
      case kEmptyTuple:
        push({.kind = Kind::kEmptyTuple});
        break;
      case kTuple2:
        make_pair();
        break;
      case kEmptyDict:
        if (dicts_.size() >= kMaxDicts) refuse("more dicts than such a file needs");
        push({.kind = Kind::kDict, .integer = static_cast<int64_t>(dicts_.size())});
        dicts_.emplace_back();
        break;
      case kSetItem:
      case kSetItems:
        set_items(opcode == kSetItems);
        break;
      case kGlobal: {
        const std::string_view module = take_line();
        push_global(module, take_line());
        break;
      }
      case kStackGlobal: {
        const Value name = pop(Kind::kText, "the name of a class");
        push_global(pop(Kind::kText, "the name of a module").text, name.text);
        break;
      }
      case kNewObj:
        pop(Kind::kEmptyTuple, "an empty tuple");
        pop(Kind::kEncodingClass, "the class Encoding");
        push({.kind = Kind::kEncoding});
        break;
      case kReduce:
        encode_latin1();
        break;
      case kBuild: {
        const Value state = pop();
        if (top().kind != Kind::kEncoding) refuse("a state for what is no object");
        if (state.kind == Kind::kText) {
          refuse(fmt::format("it only names tiktoken's encoding '{}'", printable(state.text)));
        }
        if (state.kind != Kind::kDict) refuse("a dict was expected");
        state_ = state;
        break;
      }
      case kMemoize:
        put(memo_.size());
        break;
      case kBinPut:
      case kLongBinPut:
        put(take_number(opcode == kBinPut ? 1 : 4));
        break;
      case kBinGet:
      case kLongBinGet:
        get(take_number(opcode == kBinGet ? 1 : 4));
        break;
      default:
        refuse(fmt::format("the pickle instruction {}", describe(opcode)));
    }
  }

  void make_pair() {
    const Value second = pop();
    const Value first = pop();
    push({.kind = Kind::kPair, .integer = static_cast<int64_t>(pairs_.size())});
    pairs_.push_back({first, second});
  }

  void set_items(bool to_mark) {
    size_t begin = stack_.size() - std::min<size_t>(stack_.size(), 2);
    if (to_mark) {
      if (marks_.empty()) refuse("no mark");
      begin = marks_.back();
      marks_.pop_back();
    }
    const size_t floor = marks_.empty() ? 0 : marks_.back();
    if (begin <= floor || (stack_.size() - begin) % 2 != 0 ||
        stack_[begin - 1].kind != Kind::kDict) {
      refuse("items for no dict");
    }
    Dict& dict = dicts_[static_cast<size_t>(stack_[begin - 1].integer)];
    for (size_t i = begin; i < stack_.size(); i += 2) dict.emplace_back(stack_[i], stack_[i + 1]);
    stack_.resize(begin);
  }

  void push_global(std::string_view module, std::string_view name) {
    if (module == "tiktoken.core" && name == "Encoding") {
      push({.kind = Kind::kEncodingClass});
    } else if (module == "_codecs" && name == "encode") {
      push({.kind = Kind::kEncodeFunction});
    } else {
      refuse(fmt::format("the Python name '{}.{}'", printable(module), printable(name)));
    }
  }

  void encode_latin1() {
    const Value arguments = pop(Kind::kPair, "a pair of arguments");
    pop(Kind::kEncodeFunction, "the function encode");
    const auto& [text, codec] = pairs_[static_cast<size_t>(arguments.integer)];
    if (text.kind != Kind::kText || codec.kind != Kind::kText || codec.text != "latin1") {
      refuse("a call of encode with other arguments than a text and 'latin1'");
    }
    std::string bytes;
    for (size_t i = 0; i < text.text.size();) {
      const utf8::Character c = utf8::decode(text.text, i);
      if (c.code_point > 0xFF) refuse("text that is not latin1");
      bytes += static_cast<char>(c.code_point);
      i += c.length;
    }
    decoded_.push_back(std::move(bytes));
    push({.kind = Kind::kBytes, .text = decoded_.back()});
  }

  // ---- the object

  [[nodiscard]] PickledEncoding encoding() const {
    PickledEncoding encoding;
    std::array<bool, 4> seen{};
    const auto once = [&](size_t i, std::string_view key, const Value& value, Kind kind) {
      if (value.kind != kind || seen[i]) refuse(fmt::format("'{}' is wrong or there twice", key));
      seen[i] = true;
    };
    for (const auto& [key, value] : dicts_[static_cast<size_t>(state_->integer)]) {
      const std::string_view name = key.kind == Kind::kText ? key.text : "";
      if (name == "name") {
        once(0, name, value, Kind::kText);
        encoding.name = value.text;
      } else if (name == "pat_str") {
        once(1, name, value, Kind::kText);
        encoding.pattern = value.text;
      } else if (name == "mergeable_ranks") {
        once(2, name, value, Kind::kDict);
        encoding.ranks = numbers_by(Kind::kBytes, value, name);
      } else if (name == "special_tokens") {
        once(3, name, value, Kind::kDict);
        encoding.specials = numbers_by(Kind::kText, value, name);
      } else {
        refuse(fmt::format("Encoding has no field '{}'", printable(name)));
      }
    }
    if (seen != std::array{true, true, true, true}) refuse("a field of Encoding is missing");
    return encoding;
  }

  [[nodiscard]] std::vector<std::pair<std::string, int64_t>> numbers_by(
      Kind key_kind, const Value& dict, std::string_view name) const {
    std::vector<std::pair<std::string, int64_t>> numbers;
    for (const auto& [key, number] : dicts_[static_cast<size_t>(dict.integer)]) {
      if (key.kind != key_kind || number.kind != Kind::kInteger) {
        refuse(fmt::format("an item of '{}' has the wrong type", name));
      }
      numbers.emplace_back(key.text, number.integer);
    }
    return numbers;
  }

  std::string_view bytes_, where_;
  size_t position_ = 0;
  size_t opcode_at_ = 0;
  std::vector<Value> stack_, memo_;
  std::vector<size_t> marks_;  // heights of the stack
  std::vector<Dict> dicts_;
  std::vector<std::pair<Value, Value>> pairs_;
  std::deque<std::string> decoded_;  // views of its elements stay valid
  std::optional<Value> state_;
};

}  // namespace

PickledEncoding read_pickled_encoding(std::string_view bytes, std::string_view where) {
  return PickleReader(bytes, where).read();
}

}  // namespace nanochat
