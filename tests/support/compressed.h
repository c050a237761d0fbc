/// Compressed bytes for tests to read back. Needs zlib and libzstd (link nanochat_data).
#pragma once

#include <string>
#include <string_view>

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

namespace nanochat::test {

/// One gzip member.
inline std::string gzip(std::string_view text) {
  z_stream z{};
  constexpr int kGzip = 16;
  EXPECT_EQ(deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, MAX_WBITS + kGzip, 8, Z_DEFAULT_STRATEGY),
            Z_OK);
  std::string out(::deflateBound(&z, text.size()) + 64, '\0');
  z.next_in = reinterpret_cast<z_const Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(::deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(z.total_out);
  ::deflateEnd(&z);
  return out;
}

/// One zstd frame with a checksum, as the command line tool writes it.
inline std::string zstd(std::string_view text) {
  ZSTD_CCtx* const context = ::ZSTD_createCCtx();
  ::ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  std::string out(::ZSTD_compressBound(text.size()), '\0');
  const size_t n = ::ZSTD_compress2(context, out.data(), out.size(), text.data(), text.size());
  EXPECT_EQ(::ZSTD_isError(n), 0U) << ::ZSTD_getErrorName(n);
  ::ZSTD_freeCCtx(context);
  out.resize(n);
  return out;
}

}  // namespace nanochat::test
