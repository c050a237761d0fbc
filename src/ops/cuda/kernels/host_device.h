/// For small functions that kernels share with the host and its tests.
#pragma once

#ifdef __CUDACC__
#define NC_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define NC_HOST_DEVICE inline
#endif
