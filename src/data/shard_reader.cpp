#include "data/shard_reader.h"

#include <algorithm>
#include <string_view>

#include "core/error.h"
#include "data/grouped_documents.h"
#include "data/tok_shard.h"
#include "tokenizer/formats.h"
#include "tokenizer/safe_cut.h"

namespace nanochat {
namespace {

/// The same of tokens that are there already.
constexpr int64_t kPieceTokens = int64_t{1} << 18;

/// Text of a document is encoded in pieces of about this size where that gives the same tokens.
constexpr int64_t kPieceBytes = int64_t{1} << 20;

/// Encodes text as it is read. Offsets are bytes of the document.
class TextShard final : public ShardReader {
 public:
  TextShard(const DataPart& part, const DocumentSourceOptions& options, const Tokenizer& tokenizer,
            const std::atomic<bool>& stop)
      : part_(part),
        tokenizer_(tokenizer),
        bos_(tokenizer.bos_id()),
        documents_(part.file, options, &stop),
        first_group_(documents_.group_of(part.begin_document)) {}

  bool open_group(int64_t group) override {
    group += first_group_;
    const int64_t first = documents_.first_document(group);
    if (first >= part_.end_document || !documents_.open_group(group)) return false;
    document_ = -1;
    end_document_ = part_.end_document - first;
    in_document_ = false;
    if (part_.begin_document > first) skip(part_.begin_document - first);
    return true;
  }

  void skip_to(int64_t document, int64_t offset) override {
    skip(document - (document_ + 1));
    if (offset == 0 || !next_document()) return;
    rest_.remove_prefix(std::min(static_cast<size_t>(offset), rest_.size()));
    offset_ = offset;
  }

  bool next(TokenPiece& piece, std::vector<int32_t>& tokens) override {
    if (!in_document_ && !next_document()) return false;
    const std::string_view text = take_piece();
    piece = {.document = document_,
             .offset = offset_,
             .end_offset = offset_ + std::ssize(text),
             .ends_document = !in_document_};
    if (offset_ == 0) tokens.push_back(bos_);
    tokenizer_.encode_to(text, tokens);
    offset_ = piece.end_offset;
    return true;
  }

 private:
  void skip(int64_t n) { document_ += documents_.skip(n); }

  bool next_document() {
    std::string_view text;
    if (document_ + 1 >= end_document_ || !documents_.next(text)) return false;
    ++document_;
    const auto size = std::ssize(text);
    const int64_t begin = std::min(part_.begin_offset, size);
    rest_ = text.substr(static_cast<size_t>(begin),
                        static_cast<size_t>(std::min(part_.end_offset, size) - begin));
    offset_ = 0;
    in_document_ = true;
    return true;
  }

  std::string_view take_piece() {
    size_t end = rest_.size();
    if (std::ssize(rest_) > 2 * kPieceBytes) {
      end = std::min(end, find_safe_cut(tokenizer_.vocabulary().pattern, rest_, kPieceBytes));
    }
    const std::string_view piece = rest_.substr(0, end);
    rest_.remove_prefix(end);
    in_document_ = !rest_.empty();
    return piece;
  }

  DataPart part_;
  const Tokenizer& tokenizer_;
  int32_t bos_;
  GroupedDocuments documents_;
  int64_t first_group_;
  int64_t document_ = -1;  // the last one begun, in the group
  int64_t end_document_ = 0;
  bool in_document_ = false;
  std::string_view rest_;  // of that document
  int64_t offset_ = 0;     // where rest_ begins
};

/// Offsets are tokens of the document, without the one that begins it.
class TokenShard final : public ShardReader {
 public:
  TokenShard(const DataPart& part, const Tokenizer& tokenizer)
      : part_(part), bos_(tokenizer.bos_id()), shard_(part.file) {
    if (shard_.header().tokenizer != checksum_of(tokenizer.vocabulary())) {
      throw UsageError(
          "{}: made with another tokenizer: name that one with --tokenizer, or tokenise the text "
          "again (nanochat data tokenize)",
          part.file.string());
    }
    while (first_group_ < shard_.header().n_groups &&
           shard_.first_document(first_group_ + 1) <= part.begin_document) {
      ++first_group_;
    }
  }

  bool open_group(int64_t group) override {
    group += first_group_;
    if (group >= shard_.header().n_groups) return false;
    first_ = shard_.first_document(group);
    if (first_ >= part_.end_document) return false;
    shard_.check_group(group);
    end_ = std::min(part_.end_document, shard_.first_document(group + 1));
    begin_document(std::max(part_.begin_document, first_));
    return true;
  }

  void skip_to(int64_t document, int64_t offset) override {
    begin_document(std::clamp(first_ + document, document_, end_));
    offset_ = std::min(offset, size_);
  }

  bool next(TokenPiece& piece, std::vector<int32_t>& tokens) override {
    if (document_ == end_) return false;
    const int64_t n = std::min(size_ - offset_, kPieceTokens);
    piece = {.document = document_ - first_,
             .offset = offset_,
             .end_offset = offset_ + n,
             .ends_document = offset_ + n == size_};
    if (offset_ == 0) tokens.push_back(bos_);
    shard_.append_ids(begin_ + offset_, begin_ + offset_ + n, tokens);
    offset_ += n;
    if (piece.ends_document) begin_document(document_ + 1);
    return true;
  }

 private:
  /// The documents from here on; end_ is none.
  void begin_document(int64_t document) {
    document_ = document;
    offset_ = 0;
    if (document == end_) return;
    const int64_t begin = shard_.first_token(document);
    const int64_t size = shard_.first_token(document + 1) - begin;
    const int64_t left_out = std::min(part_.begin_offset, size);
    begin_ = begin + left_out;
    size_ = std::min(part_.end_offset, size) - left_out;
  }

  DataPart part_;
  int32_t bos_;
  TokShard shard_;
  int64_t first_group_ = 0;       // of the part
  int64_t first_ = 0, end_ = 0;   // documents of the group, in the file
  int64_t document_ = 0;          // the next one, or the one that is given out
  int64_t begin_ = 0, size_ = 0;  // its tokens
  int64_t offset_ = 0;            // of them, given out
};

}  // namespace

std::unique_ptr<ShardReader> open_shard(const DataPart& part, const DocumentSourceOptions& options,
                                        const Tokenizer& tokenizer, const std::atomic<bool>& stop) {
  if (is_tok_file(part.file)) return std::make_unique<TokenShard>(part, tokenizer);
  return std::make_unique<TextShard>(part, options, tokenizer, stop);
}

}  // namespace nanochat
