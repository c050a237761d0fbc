// The arithmetic of the GPU's kernels that needs no GPU: which keys and queries a tile needs, and
// how matrices get into the registers of tensor cores.
#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "ops/cuda/kernels/attention_mask.h"
#include "ops/cuda/kernels/fragments.h"

namespace nanochat::cuda {
namespace {

TEST(GpuAttentionMask, BlocksOfKeysHoldAllThatIsSeenAndStartWhereTheFirstIs) {
  for (const int length : {1, 63, 64, 65, 200, 500}) {
    for (const int window : {-1, 0, 1, 63, 64, 100, 499, 2147483647}) {
      for (const int n : {1, 64, 128}) {
        for (const int block : {1, 32, 64}) {
          for (int begin = 0; begin < length; begin += n) {
            const KeyRange range = keys_of_queries(begin, n, length, window, block);
            ASSERT_LT(range.begin, range.end);
            ASSERT_EQ(range.begin % block, 0);
            ASSERT_LE(range.end, length);
            int first = length, last = -1;
            for (int q = begin; q < std::min(begin + n, length); ++q) {
              for (int k = 0; k < length; ++k) {
                if (!is_visible(q, k, window)) continue;
                first = std::min(first, k);
                last = std::max(last, k);
              }
            }
            ASSERT_EQ(range.begin, first / block * block);
            ASSERT_EQ(range.end, last + 1);
          }
        }
      }
    }
  }
}

TEST(GpuAttentionMask, BlocksOfQueriesHoldAllThatSee) {
  for (const int length : {1, 63, 64, 65, 200, 500}) {
    for (const int window : {-1, 0, 1, 63, 64, 100, 499, 2147483647}) {
      for (const int n : {1, 64}) {
        for (const int block : {1, 32, 64}) {
          for (int begin = 0; begin < length; begin += n) {
            const KeyRange range = queries_of_keys(begin, n, length, window, block);
            int first = length, last = -1;
            for (int k = begin; k < std::min(begin + n, length); ++k) {
              for (int q = 0; q < length; ++q) {
                if (!is_visible(q, k, window)) continue;
                first = std::min(first, q);
                last = std::max(last, q);
              }
            }
            ASSERT_EQ(range.begin, first / block * block);
            ASSERT_EQ(range.end, last + 1);
          }
        }
      }
    }
  }
}

TEST(GpuAttentionMask, IsLeftOutOnlyWhereEverythingIsSeen) {
  for (const int window : {-1, 0, 5, 64, 130, 2147483647}) {
    for (const auto& [n_queries, n_keys] :
         {std::pair{128, 64}, {64, 64}, {64, 32}, {32, 64}, {1, 1}}) {
      for (int query = 0; query < 400; query += 16) {
        for (int key = 0; key < 400; key += 16) {
          bool all = true;
          for (int q = query; q < query + n_queries; ++q) {
            for (int k = key; k < key + n_keys; ++k) all = all && is_visible(q, k, window);
          }
          ASSERT_EQ(needs_mask(query, n_queries, key, n_keys, window), !all) << fmt::format(
              "queries {}+{} keys {}+{} window {}", query, n_queries, key, n_keys, window);
        }
      }
    }
  }
}

// ---- a warp, played by loops -------------------------------------------------------------------

constexpr int kLanes = 32;
using Tile = std::vector<std::array<int, 32>>;  // rows of 32 numbers

/// What a lane holds of four 8 x 8 matrices: two elements of each. PTX ISA, "ldmatrix".
using Registers = std::array<std::array<std::array<int, 2>, 4>, kLanes>;

template <typename Place>
Registers load_matrices(const Tile& tile, int row0, int column0, Place place, bool transposed) {
  Registers r{};
  for (int matrix = 0; matrix < 4; ++matrix) {
    int m[8][8];
    for (int i = 0; i < 8; ++i) {  // lane 8 matrix + i names row i
      const TilePlace at = place(8 * matrix + i);
      for (int j = 0; j < 8; ++j) {
        m[i][j] =
            tile[static_cast<size_t>(row0 + at.row)][static_cast<size_t>(column0 + at.column + j)];
      }
    }
    for (int lane = 0; lane < kLanes; ++lane) {
      for (int e = 0; e < 2; ++e) {
        const int row = lane / 4, column = 2 * (lane % 4) + e;
        r[static_cast<size_t>(lane)][static_cast<size_t>(matrix)][static_cast<size_t>(e)] =
            transposed ? m[column][row] : m[row][column];
      }
    }
  }
  return r;
}

/// PTX ISA, "Matrix Fragments for mma.m16n8k16" with 16-bit elements: A and B from registers.
struct Operands {
  int a[16][16], b[16][8];
};
Operands operands_of(const Registers& a, const Registers& b, size_t first_b) {
  Operands o{};
  for (int lane = 0; lane < kLanes; ++lane) {
    const int group = lane / 4, in_group = lane % 4;
    for (int i = 0; i < 8; ++i) {  // a_i
      const int row = (i < 2 || (i >= 4 && i < 6)) ? group : group + 8;
      const int column = in_group * 2 + (i & 1) + (i >= 4 ? 8 : 0);
      o.a[row][column] =
          a[static_cast<size_t>(lane)][static_cast<size_t>(i / 2)][static_cast<size_t>(i % 2)];
    }
    for (int i = 0; i < 4; ++i) {  // b_i
      const int row = in_group * 2 + (i & 1) + (i >= 2 ? 8 : 0);
      o.b[row][group] = b[static_cast<size_t>(lane)][first_b + static_cast<size_t>(i / 2)]
                         [static_cast<size_t>(i % 2)];
    }
  }
  return o;
}

Tile numbered(int rows, int factor) {
  Tile tile(static_cast<size_t>(rows));
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < 32; ++j)
      tile[static_cast<size_t>(i)][static_cast<size_t>(j)] = factor * i + j;
  }
  return tile;
}

TEST(GpuFragments, LdmatrixBringsTheOperandsOfAProductWithATransposedTile) {
  const Tile a = numbered(32, 1000), b = numbered(32, 5000);  // rows of b are n
  const int row0 = 16, k0 = 16, n0 = 16;
  const Registers ra = load_matrices(a, row0, k0, place_in_a, false);
  const Registers rb = load_matrices(b, n0, k0, place_in_b, false);
  for (int tile = 0; tile < 2; ++tile) {
    const Operands o = operands_of(ra, rb, static_cast<size_t>(2 * tile));
    for (int i = 0; i < 16; ++i) {
      for (int k = 0; k < 16; ++k) EXPECT_EQ(o.a[i][k], 1000 * (row0 + i) + k0 + k);
    }
    for (int k = 0; k < 16; ++k) {
      for (int n = 0; n < 8; ++n) EXPECT_EQ(o.b[k][n], 5000 * (n0 + 8 * tile + n) + k0 + k);
    }
  }
}

TEST(GpuFragments, LdmatrixTransposedBringsThoseOfAProductWithATileAsItIs) {
  const Tile b = numbered(32, 5000);  // rows of b are k
  const int k0 = 16, n0 = 16;
  const Registers rb = load_matrices(b, k0, n0, place_in_b_transposed, true);
  for (int tile = 0; tile < 2; ++tile) {
    const Operands o = operands_of(rb, rb, static_cast<size_t>(2 * tile));
    for (int k = 0; k < 16; ++k) {
      for (int n = 0; n < 8; ++n) EXPECT_EQ(o.b[k][n], 5000 * (k0 + k) + n0 + 8 * tile + n);
    }
  }
}

}  // namespace
}  // namespace nanochat::cuda
