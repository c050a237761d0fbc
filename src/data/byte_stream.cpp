#include "data/byte_stream.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "core/error.h"
#include "core/file.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;

constexpr size_t kInputBytes = 256 << 10;

class FileStream final : public ByteStream {
 public:
  explicit FileStream(const fs::path& path) : path_(path) {
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) throw_errno("read", path, errno);
    ::posix_fadvise(fd_, 0, 0, POSIX_FADV_SEQUENTIAL);
  }
  ~FileStream() override { ::close(fd_); }
  FileStream(const FileStream&) = delete;
  FileStream& operator=(const FileStream&) = delete;

  size_t read(std::span<char> out) override {
    for (;;) {
      const ssize_t n = ::read(fd_, out.data(), out.size());
      if (n >= 0) return static_cast<size_t>(n);
      if (errno != EINTR) throw_errno("read", path_, errno);
    }
  }

 private:
  fs::path path_;
  int fd_ = -1;
};

/// What both decompressors share: a window of compressed bytes, and where it is in the file.
class CompressedInput {
 public:
  explicit CompressedInput(const fs::path& path) : path_(path), file_(path), window_(kInputBytes) {}

  /// The bytes not yet used; empty only at the end of the file.
  std::span<const char> bytes() {
    if (begin_ == end_) {
      begin_ = 0;
      end_ = file_.read(window_);
    }
    return {window_.data() + begin_, end_ - begin_};
  }
  void use(size_t n) {
    begin_ += n;
    used_ += n;
  }
  [[noreturn]] void throw_corrupt(const char* why) const {
    throw DataError("{}: corrupt near byte {} of the compressed file: {}", path_.string(), used_,
                    why);
  }
  [[noreturn]] void throw_cut_off() const {
    throw DataError("{}: the compressed data breaks off at byte {}: the file is incomplete",
                    path_.string(), used_);
  }

 private:
  fs::path path_;
  FileStream file_;
  std::vector<char> window_;
  size_t begin_ = 0, end_ = 0;
  size_t used_ = 0;
};

class GzipStream final : public ByteStream {
 public:
  explicit GzipStream(const fs::path& path) : input_(path) {
    constexpr int kGzipOnly = 16;  // added to the window's bits; a zlib header is refused
    if (::inflateInit2(&z_, MAX_WBITS + kGzipOnly) != Z_OK) {
      throw OutOfMemoryError("{}: no memory to decompress it", path.string());
    }
  }
  ~GzipStream() override { ::inflateEnd(&z_); }
  GzipStream(const GzipStream&) = delete;
  GzipStream& operator=(const GzipStream&) = delete;

  size_t read(std::span<char> out) override {
    const size_t wanted = std::min<size_t>(out.size(), std::numeric_limits<uInt>::max());
    z_.next_out = reinterpret_cast<Bytef*>(out.data());
    z_.avail_out = static_cast<uInt>(wanted);
    while (z_.avail_out == wanted) {
      const auto in = input_.bytes();
      if (in.empty()) {
        if (member_done_) return 0;
        input_.throw_cut_off();
      }
      if (member_done_) ::inflateReset(&z_);
      z_.next_in = reinterpret_cast<z_const Bytef*>(const_cast<char*>(in.data()));
      z_.avail_in = static_cast<uInt>(in.size());
      const int result = ::inflate(&z_, Z_NO_FLUSH);
      input_.use(in.size() - z_.avail_in);
      if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
        input_.throw_corrupt(z_.msg != nullptr ? z_.msg : ::zError(result));
      }
      member_done_ = result == Z_STREAM_END;
    }
    return wanted - z_.avail_out;
  }

 private:
  CompressedInput input_;
  z_stream z_{};
  bool member_done_ = false;
};

class ZstdStream final : public ByteStream {
 public:
  explicit ZstdStream(const fs::path& path) : input_(path), stream_(::ZSTD_createDStream()) {
    if (stream_ == nullptr) throw OutOfMemoryError("{}: no memory to decompress it", path.string());
  }

  size_t read(std::span<char> out) override {
    ZSTD_outBuffer output{out.data(), out.size(), 0};
    for (;;) {
      const auto in = input_.bytes();
      ZSTD_inBuffer input{in.data(), in.size(), 0};
      const size_t result = ::ZSTD_decompressStream(stream_.get(), &output, &input);
      input_.use(input.pos);
      if (::ZSTD_isError(result) != 0U) input_.throw_corrupt(::ZSTD_getErrorName(result));
      // With no input there may still be output from before; then the state of the frame stands.
      if (!in.empty() || output.pos > 0) frame_done_ = result == 0;
      if (output.pos > 0) return output.pos;
      if (!in.empty()) continue;
      if (frame_done_) return 0;
      input_.throw_cut_off();
    }
  }

 private:
  struct Free {
    void operator()(ZSTD_DStream* stream) const { ::ZSTD_freeDStream(stream); }
  };
  CompressedInput input_;
  std::unique_ptr<ZSTD_DStream, Free> stream_;
  bool frame_done_ = false;
};

}  // namespace

std::unique_ptr<ByteStream> open_byte_stream(const fs::path& path) {
  if (path.extension() == ".gz") return std::make_unique<GzipStream>(path);
  if (path.extension() == ".zst") return std::make_unique<ZstdStream>(path);
  return std::make_unique<FileStream>(path);
}

}  // namespace nanochat
