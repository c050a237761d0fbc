#include "tokenizer/pcre2_splitter.h"

#include <algorithm>
#include <array>
#include <new>
#include <string>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "core/error.h"
#include "tokenizer/utf8.h"

namespace nanochat {
namespace {

std::string message_of(int error) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(error, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

/// What a match writes to, one for each thread and for whatever pattern: only the ends of the whole
/// match are asked for.
class MatchMemory {
 public:
  MatchMemory()
      : data_(pcre2_match_data_create(1, nullptr)),
        context_(pcre2_match_context_create(nullptr)),
        // From 32 KiB, which most patterns never leave, to 8 MiB for a long backtrack.
        jit_stack_(pcre2_jit_stack_create(32 << 10, 8 << 20, nullptr)) {
    if (!data_ || !context_) throw std::bad_alloc();
    // Without a stack of its own, compiled code makes do with 32 KiB of the thread's.
    if (jit_stack_) pcre2_jit_stack_assign(context_.get(), nullptr, jit_stack_.get());
  }

  [[nodiscard]] pcre2_match_data* data() const noexcept { return data_.get(); }
  [[nodiscard]] pcre2_match_context* context() const noexcept { return context_.get(); }

 private:
  struct Free {
    void operator()(pcre2_match_data* p) const noexcept { pcre2_match_data_free(p); }
    void operator()(pcre2_match_context* p) const noexcept { pcre2_match_context_free(p); }
    void operator()(pcre2_jit_stack* p) const noexcept { pcre2_jit_stack_free(p); }
  };
  std::unique_ptr<pcre2_match_data, Free> data_;
  std::unique_ptr<pcre2_match_context, Free> context_;
  std::unique_ptr<pcre2_jit_stack, Free> jit_stack_;
};

/// `ends` are offsets into `replaced`, which is `text` with U+FFFD for each ill-formed part; makes
/// them offsets into `text`.
void map_back(std::string_view text, std::string_view replaced, std::vector<size_t>& ends) {
  size_t at = 0, at_replaced = 0;
  for (size_t& end : ends) {
    while (at_replaced < end) {
      at_replaced += utf8::decode(replaced, at_replaced).length;
      at += utf8::decode(text, at).length;
    }
    end = at;
  }
}

}  // namespace

void Pcre2Splitter::FreeCode::operator()(pcre2_real_code_8* code) const noexcept {
  pcre2_code_free(code);
}

Pcre2Splitter::Pcre2Splitter(std::string_view pattern) {
  // \C would match single bytes, and chunks would cut characters.
  constexpr uint32_t kOptions = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;
  int error = 0;
  PCRE2_SIZE offset = 0;
  code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), kOptions,
                            &error, &offset, nullptr));
  if (!code_) {
    throw UsageError("split pattern '{}': {} (at offset {})", utf8::replace_invalid(pattern),
                     message_of(error), offset);
  }
  // Fails where there is no JIT for this processor; matching then interprets.
  static_cast<void>(pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE));
}

void Pcre2Splitter::split(std::string_view text, std::vector<size_t>& ends) const {
  if (utf8::find_invalid(text) == text.size()) {
    split_valid(text, ends);
    return;
  }
  const std::string replaced = utf8::replace_invalid(text);
  split_valid(replaced, ends);
  map_back(text, replaced, ends);
}

void Pcre2Splitter::split_valid(std::string_view text, std::vector<size_t>& ends) const {
  thread_local const MatchMemory memory;
  const auto* const subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const PCRE2_SIZE* const match = pcre2_get_ovector_pointer(memory.data());
  ends.clear();
  size_t covered = 0;  // the end of the last chunk
  for (size_t from = 0; from < text.size();) {
    int found = pcre2_match(code_.get(), subject, text.size(), from, PCRE2_NO_UTF_CHECK,
                            memory.data(), memory.context());
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) {
      // The interpreter keeps its backtracking on the heap, up to 20 MB.
      found = pcre2_match(code_.get(), subject, text.size(), from,
                          PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, memory.data(), memory.context());
    }
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0) {
      throw DataError("split pattern: {} at byte {} of the text: simplify the pattern",
                      message_of(found), from);
    }
    // \K may put the beginning anywhere up to the end of the match, even before `from`.
    const size_t begin = std::max(match[0], covered), end = match[1];
    if (begin >= end) {
      // Empty: the next one may begin no nearer than a character behind it.
      from = std::max(from, end);
      from += from < text.size() ? utf8::decode(text, from).length : 1;
      continue;
    }
    if (begin > covered) ends.push_back(begin);
    ends.push_back(end);
    from = covered = end;
  }
  if (covered < text.size()) ends.push_back(text.size());
}

}  // namespace nanochat
