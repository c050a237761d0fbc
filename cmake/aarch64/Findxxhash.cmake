include(HostHeaders)
nanochat_host_headers(xxhash::xxhash xxhash.h)
set(xxhash_FOUND TRUE)
