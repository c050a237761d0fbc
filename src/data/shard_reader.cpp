#include "data/shard_reader.h"

#include <algorithm>
#include <string_view>

#include "data/grouped_documents.h"
#include "tokenizer/safe_cut.h"

namespace nanochat {
namespace {

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

}  // namespace

std::unique_ptr<ShardReader> open_shard(const DataPart& part, const DocumentSourceOptions& options,
                                        const Tokenizer& tokenizer, const std::atomic<bool>& stop) {
  return std::make_unique<TextShard>(part, options, tokenizer, stop);
}

}  // namespace nanochat
