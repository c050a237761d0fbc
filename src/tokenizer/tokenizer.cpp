#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <array>
#include <exception>
#include <mutex>
#include <utility>

#include "core/error.h"
#include "core/parallel.h"
#include "tokenizer/bpe_encoder.h"
#include "tokenizer/splitter.h"
#include "tokenizer/utf8.h"

namespace nanochat {
namespace {

/// What one call of encode works in. Calls borrow one and give it back, so there are as many as
/// there were calls at a time, and what one has learned serves the next.
struct Workspace {
  BpeEncoder::Scratch scratch;
  std::vector<int32_t> ids;
};

class WorkspacePool {
 public:
  class Loan {
   public:
    explicit Loan(WorkspacePool& pool) : pool_(pool), workspace_(pool.take()) {}
    ~Loan() { pool_.give_back(std::move(workspace_)); }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    Workspace& operator*() const noexcept { return *workspace_; }

   private:
    WorkspacePool& pool_;
    std::unique_ptr<Workspace> workspace_;
  };

 private:
  std::unique_ptr<Workspace> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        std::unique_ptr<Workspace> last = std::move(idle_.back());
        idle_.pop_back();
        return last;
      }
      // Room to give back one more, so that giving back cannot fail.
      idle_.reserve(++n_made_);
    }
    return std::make_unique<Workspace>();
  }
  void give_back(std::unique_ptr<Workspace> workspace) noexcept {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(workspace));
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> idle_;
  size_t n_made_ = 0;
};

/// The special tokens that may start with a byte, longest first: of two names that both stand at a
/// place, the longer is meant.
using SpecialsByFirstByte = std::array<std::vector<std::pair<std::string_view, int32_t>>, 256>;

SpecialsByFirstByte by_first_byte(const Vocabulary& vocabulary) {
  SpecialsByFirstByte by_byte;
  for (const auto& [name, id] : vocabulary.specials) {
    by_byte[static_cast<uint8_t>(name[0])].emplace_back(name, id);
  }
  for (auto& names : by_byte) {
    std::ranges::stable_sort(names, std::greater<>{}, [](const auto& s) { return s.first.size(); });
  }
  return by_byte;
}

Vocabulary validated(Vocabulary vocabulary) {
  vocabulary.validate("vocabulary");
  return vocabulary;
}

}  // namespace

struct Tokenizer::Impl {
  explicit Impl(Vocabulary v)
      : vocabulary(validated(std::move(v))),
        splitter(vocabulary.pattern),
        encoder(vocabulary.tokens),
        specials(by_first_byte(vocabulary)),
        bytes_of(static_cast<size_t>(vocabulary.size())) {
    std::ranges::copy(vocabulary.tokens, bytes_of.begin());
    for (const auto& [name, id] : vocabulary.specials) bytes_of[static_cast<size_t>(id)] = name;
  }

  void encode(std::string_view text, Workspace& workspace, std::vector<int32_t>& ids) const {
    BpeEncoder::Run run(encoder, text, workspace.scratch, ids);
    splitter.for_each_chunk(text, [&](std::string_view chunk) { run.add(chunk); });
    run.finish();
  }

  Vocabulary vocabulary;
  Splitter splitter;
  BpeEncoder encoder;  // views vocabulary.tokens
  SpecialsByFirstByte specials;
  std::vector<std::string_view> bytes_of;  // [vocab_size], of vocabulary; empty: no such id
  mutable WorkspacePool workspaces;
};

Tokenizer::Tokenizer(Vocabulary vocabulary)
    : impl_(std::make_unique<Impl>(std::move(vocabulary))) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

const Vocabulary& Tokenizer::vocabulary() const noexcept { return impl_->vocabulary; }

int32_t Tokenizer::vocab_size() const noexcept {
  return static_cast<int32_t>(impl_->bytes_of.size());
}

int32_t Tokenizer::bos_id() const {
  const auto& specials = impl_->vocabulary.specials;
  for (const std::string_view name : {"<|bos|>", "<|endoftext|>"}) {
    const auto found = specials.find(name);
    if (found != specials.end()) return found->second;
  }
  throw NotFoundError(
      "the tokenizer has neither <|bos|> nor <|endoftext|>: nothing starts a document");
}

int32_t Tokenizer::special_id(std::string_view name) const {
  const auto found = impl_->vocabulary.specials.find(name);
  if (found == impl_->vocabulary.specials.end()) {
    throw NotFoundError("the tokenizer has no special token '{}'", name);
  }
  return found->second;
}

bool Tokenizer::is_special(int32_t id) const noexcept {
  return id >= static_cast<int32_t>(impl_->vocabulary.tokens.size()) && id < vocab_size() &&
         !impl_->bytes_of[static_cast<size_t>(id)].empty();
}

std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  std::vector<int32_t> ids;
  encode_to(text, ids);
  return ids;
}

void Tokenizer::encode_to(std::string_view text, std::vector<int32_t>& ids) const {
  const WorkspacePool::Loan workspace(impl_->workspaces);
  impl_->encode(text, *workspace, ids);
}

std::vector<std::vector<int32_t>> Tokenizer::encode_batch(std::span<const std::string_view> texts,
                                                          std::optional<int32_t> prepend,
                                                          std::optional<int32_t> append) const {
  std::vector<std::vector<int32_t>> rows(texts.size());
  std::mutex mutex;
  std::exception_ptr failure;
  parallel_items(static_cast<int64_t>(texts.size()), [&](int64_t item, int /*thread*/) {
    const auto i = static_cast<size_t>(item);
    try {
      const WorkspacePool::Loan workspace(impl_->workspaces);
      std::vector<int32_t>& ids = (*workspace).ids;
      ids.clear();
      if (prepend) ids.push_back(*prepend);
      impl_->encode(texts[i], *workspace, ids);
      if (append) ids.push_back(*append);
      rows[i] = ids;  // exactly as long as needed
    } catch (...) {
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
  });
  if (failure) std::rethrow_exception(failure);
  return rows;
}

std::vector<int32_t> Tokenizer::encode_with_specials(std::string_view text) const {
  std::vector<int32_t> ids;
  const WorkspacePool::Loan workspace(impl_->workspaces);
  size_t ordinary = 0;  // where the text starts that is not encoded yet
  for (size_t i = 0; i < text.size();) {
    const auto& names = impl_->specials[static_cast<uint8_t>(text[i])];
    const auto found = std::ranges::find_if(
        names, [&](const auto& special) { return text.substr(i).starts_with(special.first); });
    if (found == names.end()) {
      ++i;
      continue;
    }
    impl_->encode(text.substr(ordinary, i - ordinary), *workspace, ids);
    ids.push_back(found->second);
    i += found->first.size();
    ordinary = i;
  }
  impl_->encode(text.substr(ordinary), *workspace, ids);
  return ids;
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  const std::vector<std::string_view>& bytes_of = impl_->bytes_of;
  if (id < 0 || id >= vocab_size() || bytes_of[static_cast<size_t>(id)].empty()) {
    throw DataError("{} is not the id of a token; the tokenizer has {}", id, vocab_size());
  }
  return bytes_of[static_cast<size_t>(id)];
}

std::string Tokenizer::decode_bytes(std::span<const int32_t> ids) const {
  size_t size = 0;
  for (const int32_t id : ids) size += token_bytes(id).size();
  std::string bytes;
  bytes.reserve(size);
  for (const int32_t id : ids) bytes += impl_->bytes_of[static_cast<size_t>(id)];
  return bytes;
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  return utf8::replace_invalid(decode_bytes(ids));
}

}  // namespace nanochat
