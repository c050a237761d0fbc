/// Which row of a tile in shared memory each lane of a warp names to ldmatrix, so that the 8 x 8
/// matrices arrive as operands of mma.m16n8k16 (see mma.cuh). Arithmetic alone: it runs on the host
/// too, where it is tested.
#pragma once

#include "ops/cuda/kernels/host_device.h"

namespace nanochat::cuda {

struct TilePlace {
  int row, column;
};

/// A [16 x 16]: upper left, lower left, upper right, lower right.
NC_HOST_DEVICE TilePlace place_in_a(int lane) { return {lane % 16, lane / 16 * 8}; }

/// Two neighbours B [16 x 8] out of rows that are n (columns are k): k 0..7 and 8..15 of n 0..7,
/// then of n 8..15.
NC_HOST_DEVICE TilePlace place_in_b(int lane) {
  return {lane / 16 * 8 + lane % 8, lane / 8 % 2 * 8};
}

/// The same out of rows that are k (columns are n), for ldmatrix.trans.
NC_HOST_DEVICE TilePlace place_in_b_transposed(int lane) {
  return {lane / 8 % 2 * 8 + lane % 8, lane / 16 * 8};
}

}  // namespace nanochat::cuda
