#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

namespace nanochat {

std::string StreamDecoder::push(int32_t id) {
  pending_ += tokenizer_->token_bytes(id);
  const size_t n_ready = pending_.size() - utf8::incomplete_tail(pending_);
  std::string ready = utf8::replace_invalid(std::string_view(pending_).substr(0, n_ready));
  pending_.erase(0, n_ready);
  return ready;
}

std::string StreamDecoder::finish() {
  std::string rest = utf8::replace_invalid(pending_);
  pending_.clear();
  return rest;
}

}  // namespace nanochat
