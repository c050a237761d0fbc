#include "ops/cpu/attention.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "core/parallel.h"

namespace nanochat::cpu {
namespace {

// More items than threads, so that the last ones to finish wait little.
constexpr int64_t kItemsPerThread = 4;
// An item packs the keys it needs, so its rows must be many enough to pay for that: packing a key
// costs about as much as 20 queries that see it.
constexpr int64_t kMinRowsPerItem = 192;
// Rows of a cached item: enough that keys are fetched and widened once for many of them.
constexpr int64_t kCachedRows = 8;
// Parts of one run's backward cost a pair of accumulators each.
constexpr int64_t kMaxBackwardParts = 8;

/// One key/value head of one run, or a part of it; decoding: a few heads.
struct Item {
  int32_t run;
  int32_t kv_head;
  int64_t n_kv_head;
  int64_t begin;         // forward: query rows; backward: the part
  int64_t end;           // forward: query rows; backward: number of parts
  int64_t accumulators;  // backward: where its key gradients start, in floats
  int64_t cost;          // query-key pairs, about
};

int64_t aligned(int64_t bytes) { return (bytes + 63) / 64 * 64; }

/// bf16 or f32 elements from element `at` of x on.
const void* element(const Tensor& x, int64_t at) {
  return static_cast<const char*>(x.raw()) + at * size_of(x.dtype());
}
void* element(Tensor& x, int64_t at) {
  return static_cast<char*>(x.raw()) + at * size_of(x.dtype());
}

int64_t query_key_pairs(const Run& run, const AttentionShape& shape, int64_t first_position,
                        int64_t begin, int64_t end) {
  const int64_t middle = first_position + (begin + end) / 2 + 1;
  const int64_t keys = shape.window < 0 ? middle : std::min(middle, shape.window + 1);
  return std::min<int64_t>(end - begin, run.length) * keys;
}

/// The dearest first: then no thread starts a long item when the others run dry. Results do not
/// depend on the order.
void sort_by_cost(Item* items, int64_t n) {
  std::sort(items, items + n, [](const Item& a, const Item& b) { return a.cost > b.cost; });
}

/// Query rows per item: whole runs while there are items enough.
int64_t rows_per_item(const TokenRuns& runs, const AttentionShape& shape) {
  const int64_t wanted = kItemsPerThread * num_threads();
  const int64_t rows = (runs.n_tokens() * shape.n_kv_head + wanted - 1) / wanted;
  return std::max(kMinRowsPerItem, rows);
}

int64_t pieces(int64_t length, int64_t rows) { return (length + rows - 1) / rows; }

/// Key/value heads per cached item. Decoding: as many as leave no thread idle, so that memory is
/// read in order. Several rows: one, whose scores stay in L2.
int64_t heads_per_cached_item(const Run& run, const TokenRuns& runs, const AttentionShape& shape) {
  if (run.length > 2) return 1;
  int64_t best = 1, least = std::numeric_limits<int64_t>::max();
  for (int64_t heads = shape.n_kv_head; heads >= 1; --heads) {
    const int64_t items = runs.size() * pieces(shape.n_kv_head, heads);
    const int64_t longest = pieces(items, num_threads()) * heads;  // of one thread
    if (longest < least) {
      least = longest;
      best = heads;
    }
  }
  return best;
}

/// What attention and attention_cached share: k and v of an item lie in qkv or in a cache.
struct ForwardPlan {
  const Tensor& qkv;
  const TokenRuns& runs;
  const AttentionShape& shape;
  const KvCache* cache;  // null: keys are the run's own rows
  AttentionTypes types;

  [[nodiscard]] int64_t first_position(const Run& run) const { return cache ? run.position : 0; }

  [[nodiscard]] AttentionForwardItem item(const Item& i, Tensor& out, Tensor& lse,
                                          void* scratch) const {
    const Run& run = runs[i.run];
    const int64_t group = shape.n_head / shape.n_kv_head;
    const int64_t D = shape.head_dim;
    const int64_t row = int64_t{run.row_begin} * shape.qkv_dim();
    AttentionForwardItem result;
    result.q = element(qkv, row + i.kv_head * group * D);
    result.q_stride = shape.qkv_dim();
    if (cache) {
      const int64_t at = run.slot * cache->k.dim(1) * shape.kv_dim() + i.kv_head * D;
      result.k = element(cache->k, at);
      result.v = element(cache->v, at);
      result.kv_stride = shape.kv_dim();
      result.capacity = cache->k.dim(1);
    } else {
      const int64_t at = row + shape.q_dim() + i.kv_head * D;
      result.k = element(qkv, at);
      result.v = element(qkv, at + shape.kv_dim());
      result.kv_stride = shape.qkv_dim();
    }
    result.out = element(out, int64_t{run.row_begin} * shape.q_dim() + i.kv_head * group * D);
    result.out_stride = shape.q_dim();
    if (lse) {
      result.lse = lse.data<float>() + run.row_begin * shape.n_head + i.kv_head * group;
      result.lse_stride = shape.n_head;
    }
    result.query_begin = i.begin;
    result.query_end = i.end;
    result.first_position = first_position(run);
    result.head_dim = D;
    result.group = group;
    result.n_kv_head = i.n_kv_head;
    result.window = shape.window;
    result.scale = shape.scale;
    result.scratch = scratch;
    return result;
  }
};

void run_forward(const AttentionKernels& kernels, const ForwardPlan& plan, Tensor& out, Tensor& lse,
                 Workspace& workspace) {
  const TokenRuns& runs = plan.runs;
  const AttentionShape& shape = plan.shape;
  if (runs.n_tokens() == 0) return;
  const int64_t rows = plan.cache ? kCachedRows : rows_per_item(runs, shape);
  const auto heads_of = [&](const Run& run) {
    return plan.cache ? heads_per_cached_item(run, runs, shape) : 1;
  };
  int64_t n_items = 0;
  int64_t scratch_bytes = 0;
  for (const Run& run : runs.runs()) {
    n_items += pieces(run.length, rows) * pieces(shape.n_kv_head, heads_of(run));
    const int64_t n_keys = plan.first_position(run) + run.length;
    // An item of `rows` rows under a window needs no more keys than this.
    const int64_t n_packed =
        shape.window < 0 ? n_keys : std::min(n_keys, rows + shape.window + kKeyBlock);
    const int64_t bytes =
        plan.cache
            ? kernels.decode_scratch_bytes(
                  shape.head_dim, std::min<int64_t>(rows, run.length) * shape.n_head, n_packed)
            : kernels.forward_scratch_bytes(plan.types, shape.head_dim, n_packed);
    scratch_bytes = std::max(scratch_bytes, aligned(bytes));
  }
  const int64_t items_bytes = aligned(n_items * static_cast<int64_t>(sizeof(Item)));
  char* const memory =
      static_cast<char*>(workspace.reserve(items_bytes + num_threads() * scratch_bytes));
  Item* const items = reinterpret_cast<Item*>(memory);
  char* const scratch = memory + items_bytes;

  Item* next = items;
  for (int64_t r = 0; r < runs.size(); ++r) {
    const int64_t length = runs[r].length;
    // Pieces of equal length, so that the last one is not a stub.
    const int64_t n_pieces = pieces(length, rows);
    for (int64_t piece = 0; piece < n_pieces; ++piece) {
      const int64_t begin = length * piece / n_pieces;
      const int64_t end = length * (piece + 1) / n_pieces;
      const int64_t cost =
          query_key_pairs(runs[r], shape, plan.first_position(runs[r]), begin, end);
      const int64_t n_heads = heads_of(runs[r]);
      for (int64_t head = 0; head < shape.n_kv_head; head += n_heads) {
        const int64_t n = std::min(n_heads, shape.n_kv_head - head);
        *next++ = {static_cast<int32_t>(r), static_cast<int32_t>(head), n, begin, end, 0, cost * n};
      }
    }
  }
  sort_by_cost(items, n_items);
  parallel_items(n_items, [&](int64_t i, int thread) {
    const AttentionForwardItem item =
        plan.item(items[i], out, lse, scratch + thread * scratch_bytes);
    const auto kernel = plan.cache ? kernels.decode : kernels.forward;
    kernel(plan.types, item);
  });
}

AttentionTypes types_of(const Tensor& x) {
  return x.dtype() == DType::kBf16 ? AttentionTypes::kBf16 : AttentionTypes::kF32;
}

}  // namespace

const AttentionKernels& attention_kernels(Isa isa) noexcept {
#ifdef NC_X86_64
  if (isa == Isa::kAvx512Bf16) return avx512_bf16::attention_kernels();
  if (isa == Isa::kAvx2) return avx2::attention_kernels();
#endif
  static_cast<void>(isa);
  return portable::attention_kernels();
}

void attention(const AttentionKernels& kernels, const Tensor& qkv, const TokenRuns& runs,
               const AttentionShape& shape, Tensor& out, Tensor& lse, Workspace& workspace) {
  run_forward(kernels, {qkv, runs, shape, nullptr, types_of(qkv)}, out, lse, workspace);
}

void attention_cached(const AttentionKernels& kernels, const Tensor& qkv, const KvCache& cache,
                      const TokenRuns& runs, const AttentionShape& shape, Tensor& out,
                      Workspace& workspace) {
  const AttentionTypes types = qkv.dtype() == DType::kF32 && cache.k.dtype() == DType::kBf16
                                   ? AttentionTypes::kF32WithBf16Keys
                                   : types_of(qkv);
  Tensor no_lse;
  run_forward(kernels, {qkv, runs, shape, &cache, types}, out, no_lse, workspace);
}

void kv_cache_append(const AttentionKernels& kernels, const Tensor& qkv, const TokenRuns& runs,
                     const AttentionShape& shape, KvCache& cache) {
  const int64_t n = shape.kv_dim();
  const int64_t capacity = cache.k.dim(1);
  const auto write = [&](int64_t from, Tensor& to, int64_t at) {
    if (qkv.dtype() == to.dtype()) {
      std::memcpy(element(to, at), element(qkv, from),
                  static_cast<size_t>(n * size_of(to.dtype())));
    } else {
      kernels.round_to_bf16(static_cast<const float*>(element(qkv, from)),
                            static_cast<uint16_t*>(element(to, at)), n);
    }
  };
  parallel_for(runs.size(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const Run& run = runs[r];
      for (int64_t i = 0; i < run.length; ++i) {
        const int64_t from = (run.row_begin + i) * shape.qkv_dim() + shape.q_dim();
        const int64_t at = (run.slot * capacity + (run.position + i) % capacity) * n;
        write(from, cache.k, at);
        write(from + n, cache.v, at);
      }
    }
  });
}

void attention_backward(const AttentionKernels& kernels, const Tensor& dout, const Tensor& qkv,
                        const Tensor& out, const Tensor& lse, const TokenRuns& runs,
                        const AttentionShape& shape, Tensor& dqkv, Workspace& workspace) {
  const AttentionTypes types = types_of(qkv);
  const int64_t group = shape.n_head / shape.n_kv_head;
  const int64_t D = shape.head_dim;

  // Without parts an item's accumulators live in its thread's scratch; with parts all of a run's
  // are kept until they are summed.
  int64_t n_whole = 0;
  for (const Run& run : runs.runs()) n_whole += run.length > 0 ? shape.n_kv_head : 0;
  if (n_whole == 0) return;
  const int64_t wanted =
      n_whole >= 2 * num_threads() ? 1 : pieces(kItemsPerThread * num_threads(), n_whole);
  const auto parts_of = [&](const Run& run) {
    return std::min({wanted, kMaxBackwardParts, kernels.backward_query_blocks(run.length) * group});
  };

  int64_t n_items = 0;
  int64_t kept_floats = 0;
  int64_t scratch_bytes = 0;
  for (const Run& run : runs.runs()) {
    if (run.length == 0) continue;
    const int64_t n_parts = parts_of(run);
    const int64_t floats = kernels.key_gradient_floats(D, run.length);
    n_items += n_parts * shape.n_kv_head;
    if (n_parts > 1) kept_floats += n_parts * shape.n_kv_head * floats;
    const int64_t bytes = aligned(kernels.backward_scratch_bytes(types, D, run.length)) +
                          (n_parts > 1 ? 0 : aligned(floats * 4));
    scratch_bytes = std::max(scratch_bytes, bytes);
  }
  const int64_t items_bytes = aligned(n_items * static_cast<int64_t>(sizeof(Item)));
  const int64_t kept_bytes = aligned(kept_floats * 4);
  char* const memory = static_cast<char*>(
      workspace.reserve(items_bytes + kept_bytes + num_threads() * scratch_bytes));
  Item* const items = reinterpret_cast<Item*>(memory);
  float* const kept = reinterpret_cast<float*>(memory + items_bytes);
  char* const scratch = memory + items_bytes + kept_bytes;

  Item* next = items;
  int64_t at = 0;
  for (int64_t r = 0; r < runs.size(); ++r) {
    const Run& run = runs[r];
    if (run.length == 0) continue;
    const int64_t n_parts = parts_of(run);
    const int64_t cost = query_key_pairs(run, shape, 0, 0, run.length) / n_parts;
    for (int64_t head = 0; head < shape.n_kv_head; ++head) {
      for (int64_t part = 0; part < n_parts; ++part) {
        *next++ = {static_cast<int32_t>(r), static_cast<int32_t>(head), 1, part, n_parts, at, cost};
        if (n_parts > 1) at += kernels.key_gradient_floats(D, run.length);
      }
    }
  }
  sort_by_cost(items, n_items);

  const auto write_key_gradients = [&](const Item& i, const float* sums, int64_t begin,
                                       int64_t end) {
    const Run& run = runs[i.run];
    const int64_t k = int64_t{run.row_begin} * shape.qkv_dim() + shape.q_dim() + i.kv_head * D;
    KeyGradientItem item;
    item.key_gradients = sums;
    item.n_parts = i.end;
    item.dk = element(dqkv, k);
    item.dv = element(dqkv, k + shape.kv_dim());
    item.qkv_stride = shape.qkv_dim();
    item.length = run.length;
    item.head_dim = D;
    item.begin = begin;
    item.end = end;
    kernels.write_key_gradients(types, item);
  };

  parallel_items(n_items, [&](int64_t index, int thread) {
    const Item& i = items[index];
    const Run& run = runs[i.run];
    const int64_t row = int64_t{run.row_begin} * shape.qkv_dim();
    const int64_t q = row + i.kv_head * group * D;
    const int64_t k = row + shape.q_dim() + i.kv_head * D;
    const int64_t o = int64_t{run.row_begin} * shape.q_dim() + i.kv_head * group * D;
    char* const own = scratch + thread * scratch_bytes;
    AttentionBackwardItem item;
    item.q = element(qkv, q);
    item.k = element(qkv, k);
    item.v = element(qkv, k + shape.kv_dim());
    item.qkv_stride = shape.qkv_dim();
    item.out = element(out, o);
    item.dout = element(dout, o);
    item.out_stride = shape.q_dim();
    item.lse = lse.data<float>() + run.row_begin * shape.n_head + i.kv_head * group;
    item.lse_stride = shape.n_head;
    item.dq = element(dqkv, q);
    item.length = run.length;
    item.part = i.begin;
    item.n_parts = i.end;
    item.head_dim = D;
    item.group = group;
    item.window = shape.window;
    item.scale = shape.scale;
    item.scratch = own;
    item.key_gradients =
        i.end > 1 ? kept + i.accumulators
                  : reinterpret_cast<float*>(
                        own + aligned(kernels.backward_scratch_bytes(types, D, run.length)));
    kernels.backward(types, item);
    if (i.end == 1) write_key_gradients(i, item.key_gradients, 0, run.length);
  });
  if (kept_floats == 0) return;
  parallel_items(n_items, [&](int64_t index, int) {
    // Each part of a run writes its share of the keys, from all parts' sums in one order.
    const Item& i = items[index];
    if (i.end == 1) return;
    const int64_t length = runs[i.run].length;
    const int64_t first = i.accumulators - i.begin * kernels.key_gradient_floats(D, length);
    write_key_gradients(i, kept + first, length * i.begin / i.end, length * (i.begin + 1) / i.end);
  });
}

}  // namespace nanochat::cpu
