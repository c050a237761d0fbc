/// The serial inner part of attention, one table per instruction set (see simd.h). Plain C types
/// only: this header is read by files that are compiled for different CPUs.
///
/// An item is one key/value head of one run with the `group` query heads that read it. Keys and
/// queries are counted from the start of the run (or of the cache slot): key j is visible to query
/// row i when max(0, p - window) <= j <= p with p = first_position + i; window < 0: no limit.
/// bf16 is passed as its bits; strides are in elements, from row to row.
#pragma once

#include <stdint.h>

namespace nanochat::cpu {

/// A cache is read in blocks of this many keys, which start at multiples of it.
inline constexpr int64_t kKeyBlock = 16;

/// What q, out and the gradients hold, and what k and v hold.
enum class AttentionTypes : uint8_t { kF32, kBf16, kF32WithBf16Keys };

struct AttentionForwardItem {
  const void* q = nullptr;  ///< first row of the run, first head of the group
  const void* k = nullptr;  ///< key 0 of this head
  const void* v = nullptr;
  int64_t q_stride = 0;
  int64_t kv_stride = 0;
  void* out = nullptr;  ///< as q
  int64_t out_stride = 0;
  float* lse = nullptr;  ///< lse[row * lse_stride + head of the group]; null: not wanted
  int64_t lse_stride = 0;
  int64_t query_begin = 0;  ///< the rows that this item computes
  int64_t query_end = 0;
  int64_t first_position = 0;  ///< of row 0
  int64_t head_dim = 0;
  int64_t group = 0;
  int64_t n_kv_head = 1;  ///< decode only: so many neighbouring key/value heads and their groups
  int64_t capacity = 0;   ///< decode only: key j is at row j % capacity, a multiple of kKeyBlock
                          ///< where the sequence is longer
  int64_t window = -1;
  float scale = 0;
  void* scratch = nullptr;  ///< 64-byte aligned
};

/// Part `part` of n_parts of the query blocks of one run, for all heads of the group. It writes dq
/// of its blocks, and what they add to dk and dv to key_gradients (overwritten).
struct AttentionBackwardItem {
  const void* q = nullptr;
  const void* k = nullptr;
  const void* v = nullptr;
  int64_t qkv_stride = 0;
  const void* out = nullptr;
  const void* dout = nullptr;
  int64_t out_stride = 0;
  const float* lse = nullptr;
  int64_t lse_stride = 0;
  void* dq = nullptr;  ///< with qkv_stride, as q
  int64_t length = 0;
  int64_t part = 0;
  int64_t n_parts = 1;
  int64_t head_dim = 0;
  int64_t group = 0;
  int64_t window = -1;
  float scale = 0;
  float* key_gradients = nullptr;  ///< key_gradient_floats(head_dim, length), 64-byte aligned
  void* scratch = nullptr;
};

/// dk and dv = the sum of n_parts key_gradients that lie one after the other, first to last.
struct KeyGradientItem {
  const float* key_gradients = nullptr;
  int64_t n_parts = 1;
  void* dk = nullptr;
  void* dv = nullptr;
  int64_t qkv_stride = 0;
  int64_t length = 0;
  int64_t head_dim = 0;
  int64_t begin = 0;  ///< the keys to write
  int64_t end = 0;
};

struct AttentionKernels {
  /// Flash attention over tiles. A row's result does not depend on the rows beside it in the item:
  /// key blocks start at fixed keys, so any cut into items gives the same bits.
  void (*forward)(AttentionTypes types, const AttentionForwardItem& item);
  int64_t (*forward_scratch_bytes)(AttentionTypes types, int64_t head_dim, int64_t n_keys);

  /// The same maths against a cache: nothing is packed, keys and values are read once and in order,
  /// sums in f32. A row's bits depend neither on n_kv_head nor on the rows beside it. No lse.
  void (*decode)(AttentionTypes types, const AttentionForwardItem& item);
  /// n_pairs: rows x query heads of an item.
  int64_t (*decode_scratch_bytes)(int64_t head_dim, int64_t n_pairs, int64_t n_keys);

  void (*backward)(AttentionTypes types, const AttentionBackwardItem& item);
  int64_t (*backward_scratch_bytes)(AttentionTypes types, int64_t head_dim, int64_t length);
  void (*write_key_gradients)(AttentionTypes types, const KeyGradientItem& item);
  int64_t (*key_gradient_floats)(int64_t head_dim, int64_t length);
  /// How many query blocks a run has per head: more parts than that times `group` stay idle.
  int64_t (*backward_query_blocks)(int64_t length);

  /// y = x to the nearest bf16.
  void (*round_to_bf16)(const float* x, uint16_t* y, int64_t n);
};

namespace portable {
[[nodiscard]] const AttentionKernels& attention_kernels();
}
namespace avx2 {
[[nodiscard]] const AttentionKernels& attention_kernels();
}
namespace avx512_bf16 {
[[nodiscard]] const AttentionKernels& attention_kernels();
}

}  // namespace nanochat::cpu
