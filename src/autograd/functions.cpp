#include "autograd/functions.h"

#include <algorithm>

#include "ops/transfer.h"

namespace nanochat {
namespace {

void require_matrix(const char* where, const char* what, const Tensor& x) {
  if (!x || x.rank() != 2) {
    throw ShapeError("{}: {} is {}, expected two extents", where, what, x.shape());
  }
}

void require_shape(const char* where, const char* what, const Tensor& x, const Shape& expected) {
  if (!x || x.shape() != expected) {
    throw ShapeError("{}: {} is {}, expected {}", where, what, x.shape(), expected);
  }
}

void require_dtype(const char* where, const char* what, const Tensor& x, DType expected) {
  if (x.dtype() != expected) {
    throw ShapeError("{}: {} is {}, expected {}", where, what, name_of(x.dtype()),
                     name_of(expected));
  }
}

/// Throws unless every element of ids [N] lies in [low, high).
void require_ids(const char* where, const char* what, const Tensor& ids, int64_t low,
                 int64_t high) {
  require_dtype(where, what, ids, DType::kI32);
  if (ids.device().kind != DeviceKind::kCpu) return;  // the loader checked them on the host
  const std::span<const int32_t> values = ids.span<int32_t>();
  for (size_t n = 0; n < values.size(); ++n) {
    if (values[n] < low || values[n] >= high) {
      throw DataError("{}: {}[{}] is {}, outside [{}, {}): was another tokenizer used?", where,
                      what, n, values[n], low, high);
    }
  }
}

/// `t` itself when nobody else holds it, else new memory of its shape: for results that may
/// overwrite their input.
Tensor reuse_or_empty(Tape& tape, const Tensor& t) {
  return t.unique() ? t : tape.empty(t.shape(), t.dtype());
}

/// dx = dy w, dw += dy^T x.
void linear_backward(Tape& t, const Tensor& dy, const Tensor& x, int32_t x_slot, const Weight& w) {
  if (w.grad) {
    Tensor dw = w.grad;
    t.backend().matmul(dy, true, x, false, dw, 1, 1);
  }
  if (x_slot >= 0) {
    Tensor dx = t.empty(x.shape(), x.dtype());
    t.backend().matmul(dy, false, w.value, false, dx);
    t.add_grad(x_slot, std::move(dx));
  }
}

Tensor packed_linear(Tape& tape, const Tensor& x, const PackedWeights& w, Epilogue epilogue) {
  NC_CHECK(!tape.recording() && w, "packed weights are for inference, once they are loaded");
  if (x.dim(1) != w.in) {
    throw ShapeError("linear: x is {}, w is [{}, {}]: the last dimensions must match", x.shape(),
                     w.out, w.in);
  }
  Tensor y = tape.empty({x.dim(0), w.out}, x.dtype());
  tape.backend().matmul_packed(x, w, y, epilogue);
  return y;
}

Tensor linear_forward(Tape& tape, const Var& x, const Weight& w, Epilogue epilogue) {
  require_matrix("linear", "x", x.value);
  if (w.packed) return packed_linear(tape, x.value, *w.packed, epilogue);
  require_matrix("linear", "w", w.value);
  if (x.value.dim(1) != w.value.dim(1)) {
    throw ShapeError("linear: x is {}, w is {}: the last dimensions must match", x.value.shape(),
                     w.value.shape());
  }
  require_dtype("linear", "w", w.value, x.value.dtype());
  if (w.grad) require_shape("linear", "w's gradient", w.grad, w.value.shape());
  Tensor y = tape.empty({x.value.dim(0), w.value.dim(0)}, x.value.dtype());
  tape.backend().matmul(x.value, false, w.value, true, y, 1, 0, epilogue);
  return y;
}

void require_qkv(const char* where, const Tensor& qkv, const TokenRuns& runs,
                 const AttentionShape& shape) {
  if (shape.n_kv_head <= 0 || shape.head_dim <= 0 || shape.n_head % shape.n_kv_head != 0) {
    throw ShapeError("{}: {} query heads over {} key/value heads of {} dimensions", where,
                     shape.n_head, shape.n_kv_head, shape.head_dim);
  }
  require_shape(where, "qkv", qkv, {runs.n_tokens(), shape.qkv_dim()});
}

}  // namespace

Var embedding(Tape& tape, const Parameter& wte, const Tensor& ids, DType act) {
  require_matrix("embedding", "wte", wte.value);
  if (ids.rank() != 1) throw ShapeError("embedding: ids are {}, expected one extent", ids.shape());
  require_ids("embedding", "ids", ids, 0, wte.value.dim(0));
  Tensor value = tape.empty({ids.dim(0), wte.value.dim(1)}, act);
  const Tensor here = on_device(tape.backend(), ids, tape.allocator());
  tape.backend().embedding(wte.value, here, value);
  Var y = tape.variable(std::move(value));
  tape.record([ids = here, dw = wte.grad, y_slot = y.slot](Tape& t) mutable {
    const Tensor dy = t.take_grad(y_slot);
    if (dy && dw) t.backend().embedding_backward(dy, ids, dw);
  });
  return y;
}

Var rms_norm(Tape& tape, const Var& x, float eps) {
  require_matrix("rms_norm", "x", x.value);
  Tensor value = tape.empty(x.value.shape(), x.value.dtype());
  Tensor rstd = tape.empty({x.value.dim(0)}, stats_dtype(x.value.dtype()));
  tape.backend().rms_norm(x.value, value, rstd, eps);
  Var y = tape.variable(std::move(value));
  tape.record([y = y.value, rstd, x_slot = x.slot, y_slot = y.slot](Tape& t) {
    const Tensor dy = t.take_grad(y_slot);
    if (!dy || x_slot < 0) return;
    // The gradient that came round the branch, if any, is added on the way.
    const Tensor residual = t.take_grad(x_slot);
    Tensor dx = residual && residual.unique() ? residual : reuse_or_empty(t, dy);
    t.backend().rms_norm_backward(dy, y, rstd, residual, dx);
    t.add_grad(x_slot, std::move(dx));
  });
  return y;
}

Var linear(Tape& tape, const Var& x, const Weight& w) {
  Var y = tape.variable(linear_forward(tape, x, w, Epilogue::kNone));
  tape.record([x = x.value, x_slot = x.slot, w, y_slot = y.slot](Tape& t) {
    const Tensor dy = t.take_grad(y_slot);
    if (dy) linear_backward(t, dy, x, x_slot, w);
  });
  return y;
}

Var linear_relu_squared(Tape& tape, const Var& x, const Weight& w) {
  Var y = tape.variable(linear_forward(tape, x, w, Epilogue::kReluSquared));
  tape.record([x = x.value, x_slot = x.slot, w, y = y.value, y_slot = y.slot](Tape& t) {
    const Tensor dy = t.take_grad(y_slot);
    if (!dy) return;
    Tensor dh = reuse_or_empty(t, dy);
    t.backend().relu_squared_backward(dy, y, dh);
    linear_backward(t, dh, x, x_slot, w);
  });
  return y;
}

Var add(Tape& tape, const Var& a, const Var& b) {
  if (a.value.shape() != b.value.shape()) {
    throw ShapeError("add: {} and {} differ", a.value.shape(), b.value.shape());
  }
  require_dtype("add", "b", b.value, a.value.dtype());
  Tensor value = tape.empty(a.value.shape(), a.value.dtype());
  tape.backend().add(a.value, b.value, value);
  Var y = tape.variable(std::move(value));
  tape.record([a_slot = a.slot, b_slot = b.slot, y_slot = y.slot](Tape& t) {
    Tensor dy = t.take_grad(y_slot);
    t.add_grad(a_slot, dy);
    t.add_grad(b_slot, std::move(dy));
  });
  return y;
}

Var rope_qk_norm(Tape& tape, Var qkv, const TokenRuns& runs, const AttentionShape& shape,
                 const Tensor& cos, const Tensor& sin, float gain, float eps) {
  require_qkv("rope_qk_norm", qkv.value, runs, shape);
  if (shape.head_dim % 2 != 0) {
    throw ShapeError("rope_qk_norm: head_dim {} is odd, but it turns pairs", shape.head_dim);
  }
  for (const Tensor* table : {&cos, &sin}) {
    require_shape("rope_qk_norm", "rotary table", *table, {cos.dim(0), shape.head_dim / 2});
  }
  if (runs.end_position() > cos.dim(0)) {
    throw ShapeError("rope_qk_norm: position {} is beyond the rotary table's {}: shorten the text",
                     runs.end_position() - 1, cos.dim(0));
  }
  Tensor rstd =
      tape.empty({qkv.value.dim(0), shape.n_head + shape.n_kv_head}, stats_dtype(cos.dtype()));
  tape.backend().rope_qk_norm(qkv.value, runs, shape, cos, sin, gain, eps, rstd);
  Var y = tape.variable(std::move(qkv.value));
  tape.record([y = y.value, y_slot = y.slot, x_slot = qkv.slot, &runs, shape, cos, sin, gain,
               rstd](Tape& t) {
    Tensor dqkv = t.take_grad(y_slot);
    if (!dqkv) return;
    if (!dqkv.unique()) {
      Tensor own = t.empty(dqkv.shape(), dqkv.dtype());
      t.backend().copy(dqkv, own);
      dqkv = std::move(own);
    }
    t.backend().rope_qk_norm_backward(dqkv, y, runs, shape, cos, sin, gain, rstd);
    t.add_grad(x_slot, std::move(dqkv));
  });
  return y;
}

Var attention(Tape& tape, const Var& qkv, const TokenRuns& runs, const AttentionShape& shape) {
  require_qkv("attention", qkv.value, runs, shape);
  const int64_t N = qkv.value.dim(0);
  Tensor value = tape.empty({N, shape.q_dim()}, qkv.value.dtype());
  Tensor lse;
  if (tape.recording()) lse = tape.empty({N, shape.n_head}, stats_dtype(qkv.value.dtype()));
  tape.backend().attention(qkv.value, runs, shape, value, lse);
  Var out = tape.variable(std::move(value));
  tape.record([qkv = qkv.value, qkv_slot = qkv.slot, &runs, shape, out = out.value,
               out_slot = out.slot, lse](Tape& t) {
    const Tensor dout = t.take_grad(out_slot);
    if (!dout) return;
    Tensor dqkv = t.empty(qkv.shape(), qkv.dtype());
    t.backend().attention_backward(dout, qkv, out, lse, runs, shape, dqkv);
    t.add_grad(qkv_slot, std::move(dqkv));
  });
  return out;
}

Var attention_cached(Tape& tape, const Var& qkv, const TokenRuns& runs, const AttentionShape& shape,
                     KvCache& cache) {
  NC_CHECK(!tape.recording(), "attention_cached is for inference");
  require_qkv("attention_cached", qkv.value, runs, shape);
  const int64_t capacity = cache.k.rank() == 3 ? cache.k.dim(1) : 0;
  const bool is_ring = shape.window >= 0 && capacity % kCacheMultiple == 0 &&
                       capacity >= shape.window + kCacheMultiple + runs.max_length();
  if (cache.k.rank() != 3 || cache.k.shape() != cache.v.shape() ||
      cache.k.dim(2) != shape.kv_dim() || (capacity < runs.end_position() && !is_ring)) {
    throw ShapeError(
        "attention_cached: the cache is {}, expected [slots, at least {}, {}]: start a new "
        "conversation or raise the context",
        cache.k.shape(), runs.end_position(), shape.kv_dim());
  }
  for (const Run& run : runs.runs()) {
    if (run.slot >= cache.k.dim(0)) {
      throw ShapeError("attention_cached: slot {} of {}", run.slot, cache.k.dim(0));
    }
  }
  tape.backend().kv_cache_append(qkv.value, runs, shape, cache);
  Tensor out = tape.empty({qkv.value.dim(0), shape.q_dim()}, qkv.value.dtype());
  tape.backend().attention_cached(qkv.value, cache, runs, shape, out);
  return {std::move(out), -1};
}

LossResult softcap_cross_entropy(Tape& tape, const Var& x, const Weight& lm_head,
                                 const Tensor& targets, const Tensor& weights,
                                 const LossOptions& options) {
  constexpr const char* kName = "softcap_cross_entropy";
  require_matrix(kName, "x", x.value);
  require_matrix(kName, "lm_head", lm_head.value);
  const int64_t N = x.value.dim(0), V = options.vocab_size;
  if (x.value.dim(1) != lm_head.value.dim(1) || V <= 0 || V > lm_head.value.dim(0)) {
    throw ShapeError("{}: x is {}, lm_head is {} with {} tokens", kName, x.value.shape(),
                     lm_head.value.shape(), V);
  }
  require_shape(kName, "targets", targets, {N});
  require_shape(kName, "weights", weights, {N});
  require_dtype(kName, "weights", weights, DType::kF32);
  require_dtype(kName, "lm_head", lm_head.value, x.value.dtype());
  require_ids(kName, "targets", targets, -1, V);
  if (!(options.softcap > 0)) throw ShapeError("{}: softcap is {}", kName, options.softcap);

  Backend& backend = tape.backend();
  const bool with_gradient = tape.recording();
  const Tensor target_ids = on_device(backend, targets, tape.allocator());
  const Tensor row_weights = on_device(backend, weights, tape.allocator());
  const Tensor w = lm_head.value.rows(0, V);
  LossResult result{Tensor({1}, DType::kF64, tape.allocator()),
                    tape.empty({N}, stats_dtype(x.value.dtype()))};
  Tensor dx, dw;
  if (with_gradient) {
    dx = tape.empty(x.value.shape(), x.value.dtype());
    if (lm_head.grad) dw = lm_head.grad.rows(0, V);
  }

  const int64_t block_rows = options.block_rows;
  const int64_t blocks = (N + block_rows - 1) / block_rows;
  const int64_t wanted =
      options.chunk_rows <= 0 ? blocks : (options.chunk_rows + block_rows - 1) / block_rows;
  const int64_t chunk =
      std::min(std::clamp<int64_t>(wanted, 1, std::max<int64_t>(blocks, 1)) * block_rows, N);
  Tensor logits_memory = tape.empty({chunk, V}, x.value.dtype());
  for (int64_t begin = 0; begin < N; begin += chunk) {
    const int64_t end = std::min(begin + chunk, N);
    Tensor logits = logits_memory.rows(0, end - begin);
    // Every product is cut at the same rows whatever the chunk, so that sums run in one order.
    for (int64_t b = begin; b < end; b += block_rows) {
      const int64_t e = std::min(b + block_rows, end);
      Tensor block = logits.rows(b - begin, e - begin);
      backend.matmul(x.value.rows(b, e), false, w, true, block);
    }
    Tensor losses = result.per_token.rows(begin, end);
    backend.softcap_cross_entropy(logits, target_ids.rows(begin, end), row_weights.rows(begin, end),
                                  options.softcap, with_gradient, losses);
    if (!with_gradient) continue;
    for (int64_t b = begin; b < end; b += block_rows) {
      const int64_t e = std::min(b + block_rows, end);
      const Tensor dlogits = logits.rows(b - begin, e - begin);
      if (x.slot >= 0) {
        Tensor dx_block = dx.rows(b, e);
        backend.matmul(dlogits, false, w, false, dx_block);
      }
      if (dw) backend.matmul(dlogits, true, x.value.rows(b, e), false, dw, 1, 1);
    }
  }
  backend.dot(result.per_token, row_weights, 0, result.total);
  if (with_gradient && x.slot >= 0) {
    tape.record([dx, x_slot = x.slot](Tape& t) mutable { t.add_grad(x_slot, std::move(dx)); });
  }
  return result;
}

}  // namespace nanochat
