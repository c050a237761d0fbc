/// The extents of a tensor: up to four, kept inline so that making one never allocates.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "core/error.h"

namespace nanochat {

class Shape {
 public:
  static constexpr int kMaxRank = 4;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims)
      : Shape(std::span<const int64_t>(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const int64_t> dims) : rank_(static_cast<int>(dims.size())) {
    NC_CHECK(dims.size() <= kMaxRank, "rank {}", dims.size());
    std::copy(dims.begin(), dims.end(), dims_.begin());
    for (const int64_t d : dims) NC_CHECK(d >= 0, "extent {}", d);
  }

  [[nodiscard]] int rank() const noexcept { return rank_; }
  /// Negative i counts from the end: dim(-1) is the last extent.
  [[nodiscard]] int64_t dim(int i) const noexcept {
    return dims_[static_cast<size_t>(i < 0 ? i + rank_ : i)];
  }
  [[nodiscard]] int64_t operator[](int i) const noexcept { return dim(i); }
  [[nodiscard]] std::span<const int64_t> dims() const noexcept {
    return {dims_.data(), static_cast<size_t>(rank_)};
  }
  [[nodiscard]] int64_t numel() const noexcept {
    int64_t n = 1;
    for (int i = 0; i < rank_; ++i) n *= dims_[static_cast<size_t>(i)];
    return n;
  }
  friend bool operator==(const Shape&, const Shape&) = default;

  /// "[2, 3]"
  [[nodiscard]] std::string to_string() const;

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

}  // namespace nanochat

template <>
struct fmt::formatter<nanochat::Shape> {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }
  template <typename Context>
  auto format(const nanochat::Shape& shape, Context& context) const {
    return fmt::format_to(context.out(), "{}", shape.to_string());
  }
};
