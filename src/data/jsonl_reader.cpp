#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <simdjson.h>

#include "core/error.h"
#include "data/byte_stream.h"
#include "data/document_reader.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;

/// Lines out of a stream, each followed by the readable bytes that simdjson asks for.
class LineReader {
 public:
  explicit LineReader(const fs::path& path) : path_(path), stream_(open_byte_stream(path)) {}

  /// The next line without its "\n"; false at the end. Valid until the next call.
  bool next(std::string_view& line) {
    begin_ = next_begin_;
    size_t searched = begin_;
    for (;;) {
      const auto* newline =
          static_cast<const char*>(std::memchr(buffer_.data() + searched, '\n', end_ - searched));
      if (newline != nullptr || at_end_) {
        const size_t line_end =
            newline != nullptr ? static_cast<size_t>(newline - buffer_.data()) : end_;
        next_begin_ = newline != nullptr ? line_end + 1 : end_;
        if (newline == nullptr && begin_ == end_) return false;
        line = {buffer_.data() + begin_, line_end - begin_};
        ++number_;
        return true;
      }
      const size_t already_searched = end_ - begin_;
      read_more();
      searched = begin_ + already_searched;
    }
  }
  /// Of the line last returned, from 1.
  [[nodiscard]] int64_t number() const noexcept { return number_; }
  /// True when that line had no "\n" behind it.
  [[nodiscard]] bool is_unfinished() const noexcept { return at_end_ && next_begin_ == end_; }

 private:
  void read_more() {
    // The line that is being read moves to the front; only if it fills the buffer does that grow.
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= std::exchange(begin_, 0);
    if (end_ + simdjson::SIMDJSON_PADDING == buffer_.size()) {
      if (end_ > simdjson::SIMDJSON_MAXSIZE_BYTES) {
        throw DataError("{}:{}: the line is longer than 4 GiB: is this JSON lines?", path_.string(),
                        number_ + 1);
      }
      buffer_.resize(2 * end_ + simdjson::SIMDJSON_PADDING);
    }
    const size_t room = buffer_.size() - simdjson::SIMDJSON_PADDING - end_;
    const size_t n = stream_->read({buffer_.data() + end_, room});
    end_ += n;
    at_end_ = n == 0;
  }

  fs::path path_;
  std::unique_ptr<ByteStream> stream_;
  std::vector<char> buffer_ = std::vector<char>((1 << 20) + simdjson::SIMDJSON_PADDING);
  size_t begin_ = 0, end_ = 0;  // the bytes read and not given out; begin_: of the current line
  size_t next_begin_ = 0;
  bool at_end_ = false;
  int64_t number_ = 0;
};

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// The code unit of "\uXXXX" at `i`, or -1 if there is none.
int escaped_unit(std::string_view json, size_t i) {
  if (i + 6 > json.size() || json[i] != '\\' || json[i + 1] != 'u') return -1;
  int unit = 0;
  for (size_t k = i + 2; k < i + 6; ++k) {
    const int digit = hex_digit(json[k]);
    if (digit < 0) return -1;
    unit = unit * 16 + digit;
  }
  return unit;
}

/// Halves of surrogate pairs that stand alone, as "\ufffd"; the length stays the same. Python
/// writes them, simdjson refuses them.
void replace_lone_surrogates(std::string& json) {
  for (size_t i = 0; i < json.size();) {
    if (json[i] != '\\') {
      ++i;
      continue;
    }
    const int unit = escaped_unit(json, i);
    if (unit < 0) {
      i += 2;  // another escape, "\\" among them
      continue;
    }
    const bool is_high = unit >= 0xD800 && unit < 0xDC00;
    const bool is_low = unit >= 0xDC00 && unit < 0xE000;
    const int following = is_high ? escaped_unit(json, i + 6) : -1;
    if (following >= 0xDC00 && following < 0xE000) {
      i += 12;
      continue;
    }
    if (is_high || is_low) json.replace(i, 6, "\\ufffd");
    i += 6;
  }
}

class JsonlReader final : public DocumentReader {
 public:
  JsonlReader(const fs::path& path, const DocumentSourceOptions& options)
      : path_(path), options_(options), lines_(path) {}

  bool next(DocumentBatch& batch) override {
    const auto text = std::make_shared<std::string>();
    text->reserve(text_bytes_ + text_bytes_ / 4);
    ends_.clear();
    if (failure_) std::rethrow_exception(failure_);
    try {
      read_batch(*text);
    } catch (const Error&) {
      if (ends_.empty()) throw;
      failure_ = std::current_exception();  // first, the documents before it
    }
    batch.documents.clear();
    size_t begin = 0;
    for (const size_t end : ends_) {
      batch.documents.push_back(std::string_view(*text).substr(begin, end - begin));
      begin = end;
    }
    text_bytes_ = text->size();
    batch.memory = text;
    return !batch.documents.empty();
  }

  /// Lines that are left out are not parsed: errors in them are not seen.
  int64_t skip(int64_t n) override {
    if (failure_) std::rethrow_exception(failure_);
    int64_t skipped = 0;
    while (skipped < n && next_document()) ++skipped;
    return skipped;
  }

 private:
  /// The next line that is not blank; false at the end.
  bool next_document() {
    while (lines_.next(line_)) {
      if (lines_.number() == 1 && line_.starts_with("\xEF\xBB\xBF")) line_.remove_prefix(3);
      if (line_.find_first_not_of(" \t\r") != std::string_view::npos) return true;
    }
    return false;
  }

  /// Appends documents to `text`, and to ends_ where each ends.
  void read_batch(std::string& text) {
    while (std::ssize(ends_) < options_.batch_documents && std::ssize(text) < kBatchBytes &&
           next_document()) {
      text += parse(line_);
      ends_.push_back(text.size());
    }
  }

  /// The document of a line; valid until the next call.
  std::string_view parse(std::string_view line) {
    simdjson::dom::element root;
    auto error = parser_.parse(line.data(), line.size(), false).get(root);
    if (error == simdjson::STRING_ERROR) {
      repaired_ = line;
      replace_lone_surrogates(repaired_);
      error = parser_.parse(repaired_).get(root);
    }
    if (error == simdjson::MEMALLOC) {
      throw OutOfMemoryError("{}: no memory for a line of {} bytes", place(), line.size());
    }
    if (error != simdjson::SUCCESS) {
      throw DataError("{}: not valid JSON: {}{}", place(), simdjson::error_message(error),
                      lines_.is_unfinished() ? " (the last line: the file may be cut off)" : "");
    }
    simdjson::dom::object object;
    if (root.get(object) != simdjson::SUCCESS) {
      throw DataError("{}: a JSON object is expected, one a line", place());
    }
    std::string_view document;
    bool found = false;
    for (const auto field : object) {
      if (field.key != options_.text_field) continue;
      if (field.value.get(document) != simdjson::SUCCESS) {
        throw DataError("{}: '{}' is {}, not a string", place(), options_.text_field,
                        type_name(field.value.type()));
      }
      found = true;  // of a key that comes twice, the last counts, as in Python
    }
    if (!found) throw_missing_field(object);
    return document;
  }

  [[noreturn]] void throw_missing_field(simdjson::dom::object object) const {
    std::string fields;
    for (const auto field : object) {
      if (fields.size() > 200) {
        fields += ", ...";
        break;
      }
      fields += fmt::format("{}'{}'", fields.empty() ? "" : ", ", field.key);
    }
    throw DataError("{}: no field '{}' (it has {}): name another with --text-field", place(),
                    options_.text_field, fields.empty() ? "none" : fields);
  }

  static std::string_view type_name(simdjson::dom::element_type type) {
    switch (type) {
      case simdjson::dom::element_type::ARRAY:
        return "an array";
      case simdjson::dom::element_type::OBJECT:
        return "an object";
      case simdjson::dom::element_type::BOOL:
        return "true or false";
      case simdjson::dom::element_type::NULL_VALUE:
        return "null";
      case simdjson::dom::element_type::STRING:
        return "a string";
      default:
        return "a number";
    }
  }

  [[nodiscard]] std::string place() const {
    return fmt::format("{}:{}", path_.string(), lines_.number());
  }

  fs::path path_;
  const DocumentSourceOptions& options_;
  LineReader lines_;
  std::string_view line_;  // the last one read
  simdjson::dom::parser parser_;
  std::string repaired_;
  std::vector<size_t> ends_;
  size_t text_bytes_ = 0;  // of the last batch
  std::exception_ptr failure_;
};

}  // namespace

std::unique_ptr<DocumentReader> open_jsonl(const fs::path& path,
                                           const DocumentSourceOptions& options) {
  return std::make_unique<JsonlReader>(path, options);
}

}  // namespace nanochat
