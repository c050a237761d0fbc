#include "autograd/tape.h"

namespace nanochat {

Var Tape::variable(Tensor value) {
  if (!recording_) return {std::move(value), -1};
  grads_.emplace_back();
  return {std::move(value), static_cast<int32_t>(grads_.size() - 1)};
}

void* Tape::reserve(size_t size_bytes) {
  constexpr size_t kAlign = alignof(std::max_align_t);
  size_bytes = (size_bytes + kAlign - 1) / kAlign * kAlign;
  if (position_.offset + size_bytes > kChunkBytes) position_ = {position_.chunk + 1, 0};
  if (position_.chunk == chunks_.size()) {
    chunks_.push_back(std::make_unique<std::byte[]>(kChunkBytes));
  }
  void* place = chunks_[position_.chunk].get() + position_.offset;
  position_.offset += size_bytes;
  return place;
}

void Tape::add_grad(int32_t slot, Tensor g) {
  if (slot < 0 || !g) return;
  Tensor& sum = grads_[static_cast<size_t>(slot)];
  if (!sum) {
    sum = std::move(g);
    return;
  }
  NC_CHECK(sum.shape() == g.shape() && sum.dtype() == g.dtype(), "gradient {} {} += {} {}",
           sum.shape(), name_of(sum.dtype()), g.shape(), name_of(g.dtype()));
  if (sum.unique()) {
    backend_.add(sum, g, sum);
  } else if (g.unique()) {
    backend_.add(sum, g, g);
    sum = std::move(g);
  } else {
    Tensor y = empty(sum.shape(), sum.dtype());
    backend_.add(sum, g, y);
    sum = std::move(y);
  }
}

Tensor Tape::take_grad(int32_t slot) noexcept {
  if (slot < 0) return {};
  return std::exchange(grads_[static_cast<size_t>(slot)], {});
}

void Tape::pop() noexcept {
  const Node node = nodes_.back();
  nodes_.pop_back();
  position_ = node.before;
  node.destroy(node.closure);
}

void Tape::backward_to(Mark mark) {
  const RecordingScope off(*this, false);
  while (nodes_.size() > mark.nodes) {
    const Node node = nodes_.back();
    node.run(node.closure, *this);
    pop();
  }
}

void Tape::clear() noexcept {
  while (!nodes_.empty()) pop();
  grads_.clear();
}

}  // namespace nanochat
