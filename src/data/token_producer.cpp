#include "data/token_producer.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/error.h"
#include "data/grouped_documents.h"

namespace nanochat {
namespace {

/// Large enough that handing over costs next to nothing, small enough that the first batch comes
/// soon.
constexpr int64_t kChunkTokens = 1 << 15;

bool is_files_fault(const Error& e) {
  return e.exit_code() == ExitCode::kBadData || e.exit_code() == ExitCode::kNotFound ||
         e.exit_code() == ExitCode::kIo;
}

}  // namespace

TokenProducer::TokenProducer(const std::vector<DataPart>& parts, const Tokenizer& tokenizer,
                             const TokenLoaderOptions& options, const StreamPosition& start)
    : parts_(parts),
      tokenizer_(tokenizer),
      options_(options),
      start_(start),
      capacity_tokens_(
          std::max(options.batches_ahead * options.device_batch_size * options.sequence_len,
                   2 * kChunkTokens)),
      is_skipped_(parts.size()),
      thread_([this] { run(); }) {}

TokenProducer::~TokenProducer() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  not_full_.notify_all();
  thread_.join();
}

std::optional<TokenChunk> TokenProducer::take() {
  std::unique_lock lock(mutex_);
  if (queue_.empty() && !finished_) {
    const auto start = std::chrono::steady_clock::now();
    not_empty_.wait(lock, [this] { return !queue_.empty() || finished_; });
    wait_seconds_ +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  if (queue_.empty()) {
    if (failure_) std::rethrow_exception(failure_);
    return {};
  }
  TokenChunk chunk = std::move(queue_.front());
  queue_.pop_front();
  queued_tokens_ -= std::ssize(chunk.tokens);
  lock.unlock();
  not_full_.notify_one();
  return chunk;
}

std::vector<std::string> TokenProducer::skipped() const {
  const std::lock_guard lock(mutex_);
  return skipped_;
}

// ---- below, what the thread does

void TokenProducer::run() noexcept {
  std::exception_ptr failure;
  try {
    produce(start_);
  } catch (const Stopped&) {
  } catch (const GroupedDocuments::Stopped&) {
  } catch (...) {
    failure = std::current_exception();
  }
  {
    const std::lock_guard lock(mutex_);
    failure_ = failure;
    finished_ = true;
  }
  not_empty_.notify_all();
}

void TokenProducer::produce(StreamPosition at) {
  for (;;) {
    const bool is_whole_epoch = at == StreamPosition{.epoch = at.epoch, .group = options_.rank};
    found_documents_ = false;
    read_epoch(at);
    if (!found_documents_ && is_whole_epoch) refuse_empty();
    if (!options_.endless) return;
    at = {.epoch = at.epoch + 1, .group = options_.rank};
  }
}

void TokenProducer::read_epoch(StreamPosition& at) {
  while (at.file < std::ssize(parts_)) {
    const DataPart& part = parts_[static_cast<size_t>(at.file)];
    try {
      read_file(at);
    } catch (const Error& e) {
      if (!options_.documents.skip_bad_shards || !is_files_fault(e)) throw;
      give_up_file(part, e.what());
    }
    at = {.epoch = at.epoch, .file = at.file + 1, .group = options_.rank};
  }
}

void TokenProducer::read_file(StreamPosition& at) {
  const auto shard =
      open_shard(parts_[static_cast<size_t>(at.file)], options_.documents, tokenizer_, stop_);
  while (shard->open_group(at.group)) {
    if (at.document > 0 || at.offset > 0) shard->skip_to(at.document, at.offset);
    if (options_.packing == Packing::kStream) {
      read_stream(*shard, at);
    } else {
      read_documents(*shard, at);
    }
    at = {.epoch = at.epoch, .file = at.file, .group = at.group + options_.world_size};
  }
}

void TokenProducer::read_stream(ShardReader& shard, StreamPosition& at) {
  TokenChunk chunk;
  const auto flush = [&] {
    if (chunk.pieces.empty()) return;
    chunk.after = at;
    push(std::exchange(chunk, {}));
  };
  TokenPiece piece;
  for (;;) {
    const int64_t begin = std::ssize(chunk.tokens);
    bool more = false;
    try {
      more = shard.next(piece, chunk.tokens);
    } catch (const Error&) {
      chunk.tokens.resize(static_cast<size_t>(begin));
      flush();  // what came before the bad place
      throw;
    }
    if (!more) break;
    found_documents_ = true;
    at.document = piece.document;
    at.offset = piece.offset;
    const int64_t token = std::exchange(at.token, 0);  // of a resumed piece, given out already
    chunk.pieces.push_back({.at = at, .begin = begin});
    if (token > 0) {
      const auto first = chunk.tokens.begin() + begin;
      const int64_t given = std::min(token, std::ssize(chunk.tokens) - begin);
      chunk.tokens.erase(first, first + given);
      chunk.pieces.back().at.token = given;
    }
    at.document += piece.ends_document ? 1 : 0;
    at.offset = piece.ends_document ? 0 : piece.end_offset;
    if (std::ssize(chunk.tokens) >= kChunkTokens) flush();
  }
  flush();
}

void TokenProducer::read_documents(ShardReader& shard, StreamPosition& at) {
  TokenChunk chunk;
  const auto flush = [&] {
    if (chunk.lengths.empty()) return;
    chunk.after = at;
    push(std::exchange(chunk, {}));
  };
  const int64_t capacity = options_.sequence_len + 1;
  std::vector<int32_t> tokens;  // of one piece
  int64_t length = 0;           // of the document so far
  TokenPiece piece;
  for (;;) {
    tokens.clear();
    bool more = false;
    try {
      more = shard.next(piece, tokens);
    } catch (const Error&) {
      chunk.tokens.resize(chunk.tokens.size() - static_cast<size_t>(std::min(length, capacity)));
      flush();
      throw;
    }
    if (!more) break;
    found_documents_ = true;
    const int64_t room = std::clamp<int64_t>(capacity - length, 0, std::ssize(tokens));
    chunk.tokens.insert(chunk.tokens.end(), tokens.begin(), tokens.begin() + room);
    length += std::ssize(tokens);
    if (!piece.ends_document) continue;
    chunk.lengths.push_back(std::exchange(length, 0));
    at.document = piece.document + 1;
    if (std::ssize(chunk.lengths) == options_.tokenizer_batch_size) flush();
  }
  flush();
}

void TokenProducer::push(TokenChunk chunk) {
  {
    std::unique_lock lock(mutex_);
    not_full_.wait(lock, [this] { return stop_ || queued_tokens_ < capacity_tokens_; });
    if (stop_) throw Stopped{};
    queued_tokens_ += std::ssize(chunk.tokens);
    queue_.push_back(std::move(chunk));
  }
  not_empty_.notify_one();
}

void TokenProducer::give_up_file(const DataPart& part, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  const auto index = static_cast<size_t>(&part - parts_.data());
  if (!is_skipped_[index]) skipped_.push_back(reason);  // every epoch meets it again
  is_skipped_[index] = true;
}

void TokenProducer::refuse_empty() const {
  const std::string first = parts_.front().file.string();
  const std::string what =
      parts_.size() == 1 ? first : fmt::format("{} and {} more", first, parts_.size() - 1);
  if (!skipped_.empty()) {
    throw DataError("{}: nothing in it can be read: {}", what, skipped_.front());
  }
  if (options_.world_size == 1) throw DataError("{}: no documents in it", what);
  throw DataError(
      "{}: no row group for rank {} of {}: there are fewer than processes in every file (one is "
      "1024 documents of .jsonl and .txt): give more text or run fewer processes",
      what, options_.rank, options_.world_size);
}

}  // namespace nanochat
