/// Attention on the CPU: cuts a batch into items for the threads and runs the kernels of one
/// instruction set on them. Maths, shapes and dtypes: ops/backend.h, the functions of these names.
///
/// Scratch comes from `workspace`, one part per thread; nothing is allocated once it has grown.
/// The same bits for one thread count, whichever thread takes an item. With N threads backward may
/// cut the sums over queries into parts, so that other thread counts give other last bits.
///
/// A row's keys are a range, and only that range is computed; but rows of a tile share products
/// with their neighbours' zeros, so a NaN or infinity in qkv may reach up to 96 earlier rows.
#pragma once

#include "core/tensor.h"
#include "ops/backend.h"
#include "ops/cpu/attention_kernels.h"
#include "ops/cpu/isa.h"
#include "ops/cpu/workspace.h"
#include "ops/token_runs.h"

namespace nanochat::cpu {

/// The table for an instruction set that is_supported().
[[nodiscard]] const AttentionKernels& attention_kernels(Isa isa) noexcept;

void attention(const AttentionKernels& kernels, const Tensor& qkv, const TokenRuns& runs,
               const AttentionShape& shape, Tensor& out, Tensor& lse, Workspace& workspace);

void attention_backward(const AttentionKernels& kernels, const Tensor& dout, const Tensor& qkv,
                        const Tensor& out, const Tensor& lse, const TokenRuns& runs,
                        const AttentionShape& shape, Tensor& dqkv, Workspace& workspace);

void kv_cache_append(const AttentionKernels& kernels, const Tensor& qkv, const TokenRuns& runs,
                     const AttentionShape& shape, KvCache& cache);

/// A row's result depends on its query and the slot's keys alone, to the bit: not on what else is
/// in the batch, on how a prompt was cut into runs, nor on the number of threads. It is f32
/// throughout.
void attention_cached(const AttentionKernels& kernels, const Tensor& qkv, const KvCache& cache,
                      const TokenRuns& runs, const AttentionShape& shape, Tensor& out,
                      Workspace& workspace);

}  // namespace nanochat::cpu
