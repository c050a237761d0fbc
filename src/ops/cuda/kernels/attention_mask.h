/// Which keys a query sees, and which blocks of keys a block of queries needs. All numbers are rows
/// of one run. They run on the host too, where they are tested.
#pragma once

#include "ops/cuda/kernels/host_device.h"

namespace nanochat::cuda {

/// max(0, query - window) <= key <= query; window < 0: no limit.
NC_HOST_DEVICE bool is_visible(int query, int key, int window) {
  return key <= query && (window < 0 || key >= query - window);
}

struct KeyRange {
  int begin, end;
};

/// Blocks of `block` keys, from a multiple of it on, that hold all keys that queries begin ..
/// begin + n - 1 (as far as the run goes) see. Never empty when begin < length.
NC_HOST_DEVICE KeyRange keys_of_queries(int begin, int n, int length, int window, int block) {
  const int last = begin + n < length ? begin + n : length;  // one past the last query
  const int first = window < 0 || begin - window < 0 ? 0 : begin - window;
  return {first / block * block, last};
}

/// The queries begin .. end - 1 that see any of keys begin .. begin + n - 1, begin rounded down to
/// a multiple of `block`.
NC_HOST_DEVICE KeyRange queries_of_keys(int begin, int n, int length, int window, int block) {
  const int last_key = begin + n < length ? begin + n - 1 : length - 1;
  // In this order: window may be near the largest int.
  const int end = window < 0 || window >= length - 1 - last_key ? length : last_key + window + 1;
  return {begin / block * block, end};
}

/// False when every one of these queries sees every one of these keys.
NC_HOST_DEVICE bool needs_mask(int query, int n_queries, int key, int n_keys, int window) {
  const int last_query = query + n_queries - 1;
  return key + n_keys - 1 > query || (window >= 0 && key < last_query - window);
}

}  // namespace nanochat::cuda
