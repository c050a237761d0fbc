#ifdef NC_ONEDNN

#include <algorithm>
#include <array>
#include <bit>
#include <unordered_map>

#include <oneapi/dnnl/dnnl.h>

#include "core/error.h"
#include "core/parallel.h"
#include "ops/cpu/gemm.h"

namespace nanochat::cpu {
namespace {

void check(dnnl_status_t status, const char* what) {
  if (status == dnnl_success) return;
  if (status == dnnl_out_of_memory) {
    throw OutOfMemoryError("oneDNN: {}: out of memory: use a smaller --device-batch-size", what);
  }
  throw DeviceError(
      "oneDNN: {} failed with status {}: try --dtype f32 or NANOCHAT_CPU_ISA=portable", what,
      static_cast<int>(status));
}

/// A C handle with its deleter.
template <typename T, dnnl_status_t (*kDestroy)(T)>
struct HandleDeleter {
  using pointer = T;
  void operator()(T handle) const noexcept { kDestroy(handle); }
};
template <typename T, dnnl_status_t (*kDestroy)(T)>
using Handle = std::unique_ptr<T, HandleDeleter<T, kDestroy>>;

using Engine = Handle<dnnl_engine_t, dnnl_engine_destroy>;
using Stream = Handle<dnnl_stream_t, dnnl_stream_destroy>;
using Attributes = Handle<dnnl_primitive_attr_t, dnnl_primitive_attr_destroy>;
using PostOps = Handle<dnnl_post_ops_t, dnnl_post_ops_destroy>;
using PrimitiveDesc = Handle<dnnl_primitive_desc_t, dnnl_primitive_desc_destroy>;
using Primitive = Handle<dnnl_primitive_t, dnnl_primitive_destroy>;
using Memory = Handle<dnnl_memory_t, dnnl_memory_destroy>;

/// What a primitive was made for. Its work is cut for a number of threads when it is made.
struct Key {
  GemmShape shape;
  int threads = 0;
  int64_t a_row_stride = 0;  // elements from one row of what a holds to the next; 0: as it is wide
  friend bool operator==(const Key&, const Key&) = default;
};
struct KeyHash {
  size_t operator()(const Key& key) const noexcept {
    const GemmShape& s = key.shape;
    uint64_t hash = 0;
    const auto mix = [&hash](uint64_t x) {  // multiply and fold
      hash = (hash ^ x) * 0x9e3779b97f4a7c15U;
      hash ^= hash >> 32;
    };
    mix(static_cast<uint64_t>(s.M) << 32 ^ static_cast<uint64_t>(s.N));
    mix(static_cast<uint64_t>(s.K) << 32 ^ static_cast<uint64_t>(s.batch));
    mix(static_cast<uint64_t>(std::bit_cast<uint32_t>(s.alpha)) << 32 ^
        std::bit_cast<uint32_t>(s.beta));
    mix(static_cast<uint64_t>(key.a_row_stride));
    mix(static_cast<uint64_t>(key.threads) << 8 ^ static_cast<uint64_t>(s.transpose_a) ^
        static_cast<uint64_t>(s.transpose_b) << 1 ^ static_cast<uint64_t>(s.relu_squared) << 2 ^
        static_cast<uint64_t>(s.in == DType::kBf16) << 3 ^
        static_cast<uint64_t>(s.out == DType::kBf16) << 4);
    return static_cast<size_t>(hash);
  }
};

/// A primitive with its arguments; only the addresses change between calls.
struct Product {
  Primitive primitive;
  Memory a, b, c, scratchpad;
  std::array<dnnl_exec_arg_t, 4> arguments{};
  int64_t scratchpad_bytes = 0;
};

dnnl_data_type_t type_of(DType dtype) { return dtype == DType::kBf16 ? dnnl_bf16 : dnnl_f32; }

/// A batch of [rows, columns], stored as the transpose when `transposed`. `pitch`, when not 0: of a
/// single transposed matrix, elements from one stored row to the next.
dnnl_memory_desc_t matrices(int64_t batch, int64_t rows, int64_t columns, bool transposed,
                            DType dtype, int64_t pitch = 0) {
  if (rows == 1 || columns == 1) transposed = false;  // the same bytes, said more plainly
  const int64_t row_stride = transposed ? 1 : columns;
  const int64_t column_stride = !transposed ? 1 : pitch != 0 ? pitch : rows;
  dnnl_memory_desc_t desc;
  if (batch == 1) {
    const dnnl_dims_t dims = {rows, columns}, strides = {row_stride, column_stride};
    check(dnnl_memory_desc_init_by_strides(&desc, 2, dims, type_of(dtype), strides), "a layout");
  } else {
    const dnnl_dims_t dims = {batch, rows, columns};
    const dnnl_dims_t strides = {rows * columns, row_stride, column_stride};
    check(dnnl_memory_desc_init_by_strides(&desc, 3, dims, type_of(dtype), strides), "a layout");
  }
  return desc;
}

class OneDnnGemm final : public Gemm {
 public:
  OneDnnGemm(bool allow_bf16, const ElementwiseKernels& elementwise) : elementwise_(elementwise) {
    dnnl_engine_t engine = nullptr;
    check(dnnl_engine_create(&engine, dnnl_cpu, 0), "creating the engine");
    engine_.reset(engine);
    dnnl_stream_t stream = nullptr;
    check(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "creating the stream");
    stream_.reset(stream);
    // The values of dnnl_cpu_isa_t are sets of features: an ISA is there when all its bits are.
    const int isa = dnnl_get_effective_cpu_isa();
    has_avx512_ = (isa & dnnl_cpu_isa_avx512_core) == dnnl_cpu_isa_avx512_core;
    has_bf16_ =
        allow_bf16 && (isa & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
  }

  void run(const GemmShape& shape, const void* a, const void* b, void* c) override {
    if (shape.in == DType::kBf16 && !has_bf16_) {
      run_widened(shape, a, b, c);
    } else if (shape.in == DType::kF32 && shape.out == DType::kBf16) {
      run_rounded(shape, a, b, c);
    } else if (!has_avx512_ && walks_pages(shape)) {
      run_repitched(shape, a, b, c);
    } else {
      execute(shape, a, b, c);
    }
  }

  std::string description() const override {
    const dnnl_version_t* version = dnnl_version();
    return fmt::format("oneDNN {}.{}.{}", version->major, version->minor, version->patch);
  }
  bool has_bf16() const noexcept override { return has_bf16_; }
  int64_t workspace_bytes() const noexcept override {
    return scratchpad_.size_bytes() + operands_.size_bytes() + result_.size_bytes() +
           columns_.size_bytes();
  }

 private:
  /// An engine that meets ever new shapes must not keep them all; a model's own fit many times.
  static constexpr size_t kMaxProducts = 1024;
  static constexpr int64_t kCastGrain = 16384;
  /// oneDNN's plain relu is max(x, 0), which turns a NaN into 0 and so hides a broken step. The
  /// leaky one multiplies instead, and 1e-30 x vanishes when it is squared.
  static constexpr float kNegativeSlope = 1e-30F;

  void convert(DType from, const void* x, DType to, void* y, int64_t n) {
    const auto kernel = elementwise_.cast[from == DType::kBf16][to == DType::kBf16];
    parallel_for(n, kCastGrain, [&](int64_t begin, int64_t end) {
      kernel(static_cast<const char*>(x) + begin * size_of(from),
             static_cast<char*>(y) + begin * size_of(to), end - begin);
    });
  }

  void run_widened(GemmShape shape, const void* a, const void* b, void* c) {
    const int64_t a_size = shape.batch * shape.M * shape.K;
    const int64_t b_size = shape.batch * shape.K * shape.N;
    const int64_t a_padded = (a_size + 15) & -16;
    auto* wide_a =
        static_cast<float*>(operands_.reserve((a_padded + b_size) * size_of(DType::kF32)));
    float* wide_b = wide_a + a_padded;
    convert(DType::kBf16, a, DType::kF32, wide_a, a_size);
    convert(DType::kBf16, b, DType::kF32, wide_b, b_size);
    shape.in = DType::kF32;
    if (shape.out == DType::kBf16) {
      run_rounded(shape, wide_a, wide_b, c);
    } else {
      execute(shape, wide_a, wide_b, c);
    }
  }

  /// f32 in, bf16 out: oneDNN has no such product.
  void run_rounded(GemmShape shape, const void* a, const void* b, void* c) {
    const int64_t c_size = shape.batch * shape.M * shape.N;
    void* wide_c = result_.reserve(c_size * size_of(DType::kF32));
    if (shape.beta != 0) convert(DType::kBf16, c, DType::kF32, wide_c, c_size);
    shape.out = DType::kF32;
    execute(shape, a, b, wide_c);
    convert(DType::kF32, wide_c, DType::kBf16, c, c_size);
  }

  /// A gradient of weights, dy^T x, walks down the columns of dy. Where these lie whole pages
  /// apart, all of a column falls into the same few lines of the cache, and oneDNN's AVX2 kernels,
  /// which copy nothing, drop to less than half their speed.
  static bool walks_pages(const GemmShape& s) {
    constexpr int64_t kPageFloats = 1024;
    return s.in == DType::kF32 && s.out == DType::kF32 && s.batch == 1 && s.transpose_a &&
           s.M % kPageFloats == 0 && s.N >= 64 && s.K >= 64;
  }

  /// A few columns of a at a time, copied to rows that do not lie pages apart.
  void run_repitched(const GemmShape& shape, const void* a, const void* b, void* c) {
    constexpr int64_t kBlockFloats = int64_t{2} << 20;  // 8 MiB: stays in the last level of cache
    constexpr int64_t kStep = 256, kExtra = 16;
    const int64_t width = std::clamp(kBlockFloats / shape.K / kStep * kStep, kStep, shape.M);
    const int64_t pitch = width + kExtra;
    auto* columns = static_cast<float*>(columns_.reserve(shape.K * pitch * size_of(DType::kF32)));
    for (int64_t begin = 0; begin < shape.M; begin += width) {
      GemmShape part = shape;
      part.M = std::min(width, shape.M - begin);
      const float* from = static_cast<const float*>(a) + begin;
      parallel_for(shape.K, 1, [&](int64_t first, int64_t last) {
        for (int64_t k = first; k < last; ++k) {
          std::copy_n(from + k * shape.M, part.M, columns + k * pitch);
        }
      });
      execute(part, columns, b, static_cast<float*>(c) + begin * shape.N, pitch);
    }
  }

  void execute(const GemmShape& shape, const void* a, const void* b, void* c,
               int64_t a_row_stride = 0) {
    const Key key{shape, num_threads(), a_row_stride};
    auto found = products_.find(key);
    if (found == products_.end()) {
      if (products_.size() >= kMaxProducts) products_.clear();
      found = products_.emplace(key, make_product(shape, a_row_stride)).first;
    }
    const Product& product = found->second;
    // oneDNN reads through the same pointer type as it writes.
    check(dnnl_memory_set_data_handle(product.a.get(), const_cast<void*>(a)), "binding a");
    check(dnnl_memory_set_data_handle(product.b.get(), const_cast<void*>(b)), "binding b");
    check(dnnl_memory_set_data_handle(product.c.get(), c), "binding c");
    check(dnnl_memory_set_data_handle(product.scratchpad.get(),
                                      scratchpad_.reserve(product.scratchpad_bytes)),
          "binding the scratchpad");
    check(dnnl_primitive_execute(product.primitive.get(), stream_.get(),
                                 static_cast<int>(product.arguments.size()),
                                 product.arguments.data()),
          "a matrix product");
  }

  Memory make_memory(const dnnl_memory_desc_t& desc) {
    dnnl_memory_t memory = nullptr;
    check(dnnl_memory_create(&memory, &desc, engine_.get(), DNNL_MEMORY_NONE), "a memory object");
    return Memory(memory);
  }

  Product make_product(const GemmShape& s, int64_t a_row_stride) {
    const dnnl_memory_desc_t a = matrices(s.batch, s.M, s.K, s.transpose_a, s.in, a_row_stride);
    const dnnl_memory_desc_t b = matrices(s.batch, s.K, s.N, s.transpose_b, s.in);
    const dnnl_memory_desc_t c = matrices(s.batch, s.M, s.N, false, s.out);
    dnnl_matmul_desc_t desc;
    check(dnnl_matmul_desc_init(&desc, &a, &b, nullptr, &c), "describing a matrix product");

    dnnl_primitive_attr_t raw_attributes = nullptr;
    check(dnnl_primitive_attr_create(&raw_attributes), "creating attributes");
    const Attributes attributes(raw_attributes);
    check(dnnl_primitive_attr_set_scratchpad_mode(attributes.get(), dnnl_scratchpad_mode_user),
          "setting the scratchpad's owner");
    if (s.alpha != 1) {
      check(dnnl_primitive_attr_set_output_scales(attributes.get(), 1, 0, &s.alpha),
            "setting alpha");
    }
    dnnl_post_ops_t raw_post_ops = nullptr;
    check(dnnl_post_ops_create(&raw_post_ops), "creating post-ops");
    const PostOps post_ops(raw_post_ops);
    if (s.beta != 0) check(dnnl_post_ops_append_sum(post_ops.get(), s.beta), "setting beta");
    if (s.relu_squared) {
      check(dnnl_post_ops_append_eltwise(post_ops.get(), 1, dnnl_eltwise_relu, kNegativeSlope, 0),
            "adding relu");
      check(dnnl_post_ops_append_eltwise(post_ops.get(), 1, dnnl_eltwise_square, 0, 0),
            "adding square");
    }
    check(dnnl_primitive_attr_set_post_ops(attributes.get(), post_ops.get()), "setting post-ops");

    dnnl_primitive_desc_t raw_primitive_desc = nullptr;
    check(dnnl_primitive_desc_create(&raw_primitive_desc, &desc, attributes.get(), engine_.get(),
                                     nullptr),
          "choosing a matrix product");
    const PrimitiveDesc primitive_desc(raw_primitive_desc);
    dnnl_primitive_t primitive = nullptr;
    check(dnnl_primitive_create(&primitive, primitive_desc.get()), "compiling a matrix product");

    Product product;
    product.primitive.reset(primitive);
    const dnnl_memory_desc_t* scratchpad =
        dnnl_primitive_desc_query_md(primitive_desc.get(), dnnl_query_scratchpad_md, 0);
    product.scratchpad_bytes = static_cast<int64_t>(dnnl_memory_desc_get_size(scratchpad));
    product.a = make_memory(a);
    product.b = make_memory(b);
    product.c = make_memory(c);
    product.scratchpad = make_memory(*scratchpad);
    product.arguments = {{{DNNL_ARG_SRC, product.a.get()},
                          {DNNL_ARG_WEIGHTS, product.b.get()},
                          {DNNL_ARG_DST, product.c.get()},
                          {DNNL_ARG_SCRATCHPAD, product.scratchpad.get()}}};
    return product;
  }

  const ElementwiseKernels& elementwise_;
  Engine engine_;
  Stream stream_;
  bool has_bf16_ = false, has_avx512_ = false;
  std::unordered_map<Key, Product, KeyHash> products_;
  Workspace scratchpad_, operands_, result_, columns_;
};

}  // namespace

std::unique_ptr<Gemm> make_onednn_gemm(bool allow_bf16, const ElementwiseKernels& elementwise) {
  return std::make_unique<OneDnnGemm>(allow_bf16, elementwise);
}

}  // namespace nanochat::cpu

#endif  // NC_ONEDNN
