/// The table of attention kernels for one instruction set, and which types each runs with.
///
/// On AVX-512 a bf16 tensor is multiplied as pairs of bf16; elsewhere there is no such instruction
/// and bf16 becomes f32 when it is packed.
#include "ops/cpu/attention_kernels.h"
#include "ops/cpu/kernels/attention_backward.h"
#include "ops/cpu/kernels/attention_decode.h"
#include "ops/cpu/kernels/attention_forward.h"

namespace nanochat::cpu::NC_ISA {
namespace {

#if defined(NC_ISA_AVX512)
using Bf16Word = Pair;
#else
using Bf16Word = float;
#endif

void forward(AttentionTypes types, const AttentionForwardItem& item) {
  switch (types) {
    case AttentionTypes::kF32:
      return forward_item<float, float, float>(item);
    case AttentionTypes::kBf16:
      return forward_item<bf16, bf16, Bf16Word>(item);
    case AttentionTypes::kF32WithBf16Keys:
      return forward_item<float, bf16, float>(item);
  }
}

int64_t forward_scratch_bytes(AttentionTypes types, int64_t head_dim, int64_t n_keys) {
  n_keys += kValueRows;  // an item's first key is rounded down to a multiple of it
  return types == AttentionTypes::kBf16
             ? ForwardScratch<Bf16Word>(nullptr, head_dim, n_keys).size_bytes
             : ForwardScratch<float>(nullptr, head_dim, n_keys).size_bytes;
}

void decode(AttentionTypes types, const AttentionForwardItem& item) {
  switch (types) {
    case AttentionTypes::kF32:
      return decode_item<float, float>(item);
    case AttentionTypes::kBf16:
      return decode_item<bf16, bf16>(item);
    case AttentionTypes::kF32WithBf16Keys:
      return decode_item<float, bf16>(item);
  }
}

int64_t decode_scratch_bytes(int64_t head_dim, int64_t n_pairs, int64_t n_keys) {
  return DecodeScratch(nullptr, head_dim, n_pairs, n_keys).size_bytes;
}

void backward(AttentionTypes types, const AttentionBackwardItem& item) {
  if (types == AttentionTypes::kBf16) {
    backward_item<bf16, Bf16Word>(item);
  } else {
    backward_item<float, float>(item);
  }
}

int64_t backward_scratch_bytes(AttentionTypes types, int64_t head_dim, int64_t length) {
  return types == AttentionTypes::kBf16
             ? BackwardScratch<Bf16Word>(nullptr, head_dim, length).size_bytes
             : BackwardScratch<float>(nullptr, head_dim, length).size_bytes;
}

void write_gradients(AttentionTypes types, const KeyGradientItem& item) {
  if (types == AttentionTypes::kBf16) {
    write_key_gradients<bf16>(item);
  } else {
    write_key_gradients<float>(item);
  }
}

int64_t gradient_floats(int64_t head_dim, int64_t length) {
  return key_gradient_floats(head_dim, length);
}

int64_t backward_query_blocks(int64_t length) {
  return (length + kBackwardQueries - 1) / kBackwardQueries;
}

void round_to_bf16(const float* x, uint16_t* y, int64_t n) {
  for_vectors(n, [&](int64_t i, auto part) { store_at(y + i, load_at(x + i, part), part); });
}

constexpr AttentionKernels kTable = {
    .forward = forward,
    .forward_scratch_bytes = forward_scratch_bytes,
    .decode = decode,
    .decode_scratch_bytes = decode_scratch_bytes,
    .backward = backward,
    .backward_scratch_bytes = backward_scratch_bytes,
    .write_key_gradients = write_gradients,
    .key_gradient_floats = gradient_floats,
    .backward_query_blocks = backward_query_blocks,
    .round_to_bf16 = round_to_bf16,
};

}  // namespace

const AttentionKernels& attention_kernels() { return kTable; }

}  // namespace nanochat::cpu::NC_ISA
