#include "data/token_loader.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "data/best_fit.h"
#include "data/loader_state.h"
#include "data/token_producer.h"
#include "tokenizer/formats.h"

namespace nanochat {
namespace {

void check_options(const std::vector<DataPart>& parts, const TokenLoaderOptions& options) {
  NC_CHECK(options.device_batch_size > 0 && options.sequence_len > 0, "a batch of {} x {}",
           options.device_batch_size, options.sequence_len);
  NC_CHECK(options.world_size > 0 && options.rank >= 0 && options.rank < options.world_size,
           "rank {} of {}", options.rank, options.world_size);
  NC_CHECK(options.tokenizer_batch_size > 0 && options.buffer_size > 0 && options.batches_ahead > 0,
           "sizes must be positive");
  if (parts.empty()) throw UsageError("no data to read: name some with --data");
}

}  // namespace

struct TokenLoader::Impl {
  Impl(std::vector<DataPart> given_parts, const Tokenizer& tokenizer,
       const TokenLoaderOptions& given_options, const std::optional<LoaderState>& resume)
      : options(given_options),
        parts(std::move(given_parts)),
        vocab_size(tokenizer.vocab_size()),
        buffer(options.sequence_len + 1) {
    check_options(parts, options);
    identity = {.data = fingerprint_of(parts, options.documents),
                .tokenizer = checksum_of(tokenizer.vocabulary())};
    position.group = options.rank;
    if (resume) {
      position = position_from_json(resume->position, identity, options);
      restore_buffer(*resume);
    }
    producer.emplace(parts, tokenizer, options, position);
  }

  void restore_buffer(const LoaderState& state) {
    std::span<const int32_t> rest(state.tokens);
    for (const int64_t length : state.lengths) {
      const int64_t kept = std::min(length, options.sequence_len + 1);
      if (kept < 1 || kept > std::ssize(rest)) refuse_buffer();
      buffer.push(rest.first(static_cast<size_t>(kept)), length);
      rest = rest.subspan(static_cast<size_t>(kept));
    }
    const bool known = std::ranges::all_of(
        state.tokens, [this](int32_t id) { return id >= 0 && id < vocab_size; });
    if (!rest.empty() || !known) refuse_buffer();
  }
  [[noreturn]] static void refuse_buffer() {
    throw DataError(
        "resume: the data loader's state is damaged: its documents do not fit their lengths: take "
        "an earlier checkpoint");
  }

  /// False at the end.
  bool take_chunk() {
    std::optional<TokenChunk> next = producer->take();
    if (!next) return false;
    chunk = std::move(*next);
    chunk_token = 0;
    chunk_piece = 0;
    if (options.packing == Packing::kBestFit) put_into_buffer();
    return true;
  }

  void put_into_buffer() {
    std::span<const int32_t> rest(chunk.tokens);
    for (const int64_t length : chunk.lengths) {
      const auto kept = static_cast<size_t>(std::min(length, options.sequence_len + 1));
      buffer.push(rest.first(kept), length);
      rest = rest.subspan(kept);
    }
    position = chunk.after;
  }

  // ---- stream

  /// Fills scratch with the next B * T + 1 tokens.
  bool fill_stream(TokenBatch& batch) {
    scratch.resize(static_cast<size_t>(options.device_batch_size * options.sequence_len) + 1);
    auto out = scratch.begin();
    while (out != scratch.end()) {
      if (chunk_token == std::ssize(chunk.tokens) && !take_chunk()) return false;
      const int64_t n =
          std::min<int64_t>(std::ssize(chunk.tokens) - chunk_token, scratch.end() - out);
      out = std::copy_n(chunk.tokens.begin() + chunk_token, n, out);
      chunk_token += n;
    }
    advance_piece(chunk_token - 1);
    const StreamPosition& last = chunk.pieces[chunk_piece].at;
    batch.epoch = last.epoch;
    batch.file = last.file;
    batch.group = last.group;
    batch.ids.assign(scratch.begin(), scratch.end() - 1);
    batch.targets.assign(scratch.begin() + 1, scratch.end());
    position = stream_position();
    return true;
  }
  /// To the piece that holds a token of the chunk.
  void advance_piece(int64_t token) {
    while (chunk_piece + 1 < chunk.pieces.size() && chunk.pieces[chunk_piece + 1].begin <= token) {
      ++chunk_piece;
    }
  }
  [[nodiscard]] StreamPosition stream_position() {
    if (chunk_token == std::ssize(chunk.tokens)) return chunk.after;
    advance_piece(chunk_token);
    StreamPosition at = chunk.pieces[chunk_piece].at;
    at.token += chunk_token - chunk.pieces[chunk_piece].begin;
    return at;
  }

  // ---- best fit

  bool fill_best_fit(TokenBatch& batch) {
    const auto T = static_cast<size_t>(options.sequence_len);
    const auto n = static_cast<size_t>(options.device_batch_size) * T;
    batch.ids.resize(n);
    batch.targets.resize(n);
    scratch.resize(T + 1);
    for (size_t begin = 0; begin < n; begin += T) {
      if (!fill_row()) return false;
      std::copy_n(scratch.begin(), T, batch.ids.begin() + static_cast<int64_t>(begin));
      std::copy_n(scratch.begin() + 1, T, batch.targets.begin() + static_cast<int64_t>(begin));
    }
    batch.epoch = position.epoch;
    batch.file = position.file;
    batch.group = position.group;
    return true;
  }
  bool fill_row() {
    std::span<int32_t> room(scratch);
    while (!room.empty()) {
      while (buffer.size() < options.buffer_size && take_chunk()) {
      }
      if (buffer.size() == 0) return false;
      room = room.subspan(static_cast<size_t>(buffer.place(room)));
    }
    return true;
  }

  TokenLoaderOptions options;
  std::vector<DataPart> parts;
  int32_t vocab_size;
  LoaderIdentity identity;
  StreamPosition position;  // where what has not been given out, nor is in the buffer, begins
  TokenChunk chunk;
  int64_t chunk_token = 0;  // the next one of the chunk (stream)
  size_t chunk_piece = 0;
  BestFitBuffer buffer;
  std::vector<int32_t> scratch;
  std::optional<TokenProducer> producer;  // last: its thread reads `parts`
};

TokenLoader::TokenLoader(std::vector<DataPart> parts, const Tokenizer& tokenizer,
                         const TokenLoaderOptions& options,
                         const std::optional<LoaderState>& resume)
    : impl_(std::make_unique<Impl>(std::move(parts), tokenizer, options, resume)) {}
TokenLoader::~TokenLoader() = default;

bool TokenLoader::next(TokenBatch& batch) {
  return impl_->options.packing == Packing::kStream ? impl_->fill_stream(batch)
                                                    : impl_->fill_best_fit(batch);
}

LoaderState TokenLoader::state() const {
  LoaderState state{.position = position_to_json(impl_->position, impl_->identity, impl_->options),
                    .tokens = {},
                    .lengths = {}};
  const BestFitBuffer& buffer = impl_->buffer;
  state.lengths.assign(buffer.lengths().begin(), buffer.lengths().end());
  for (int64_t i = 0; i < buffer.size(); ++i) {
    const auto tokens = buffer.tokens(i);
    state.tokens.insert(state.tokens.end(), tokens.begin(), tokens.end());
  }
  return state;
}

double TokenLoader::wait_seconds() const noexcept { return impl_->producer->wait_seconds(); }
std::vector<std::string> TokenLoader::skipped() const { return impl_->producer->skipped(); }

}  // namespace nanochat
