#include "train/event_file.h"

#include <array>
#include <bit>
#include <cerrno>
#include <chrono>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "core/error.h"
#include "core/file.h"
#include "train/append.h"

namespace nanochat {
namespace {

constexpr std::string_view kFileVersion = "brain.Event:2";

// ---- CRC-32C, a byte at a time: a few hundred bytes a step

constexpr std::array<uint32_t, 256> make_crc_table() {
  constexpr uint32_t kPolynomial = 0x82f63b78;  // Castagnoli's, bits reversed
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    table[i] = crc;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kCrcTable = make_crc_table();

// ---- protobuf's wire format

enum WireType : uint8_t { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };

template <typename T>
void put_fixed(std::string& out, T value) {
  const auto bytes = std::bit_cast<std::array<char, sizeof(T)>>(value);
  out.append(bytes.data(), bytes.size());
}

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void put_key(std::string& out, uint32_t field, WireType type) {
  put_varint(out, field << 3 | type);
}

void put_bytes(std::string& out, uint32_t field, std::string_view bytes) {
  put_key(out, field, kLengthDelimited);
  put_varint(out, bytes.size());
  out += bytes;
}

std::string event_head(double wall_time, int64_t step) {
  std::string event;
  put_key(event, 1, kFixed64);
  put_fixed(event, wall_time);
  put_key(event, 2, kVarint);
  put_varint(event, static_cast<uint64_t>(step));
  return event;
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  return name.data();
}

}  // namespace

uint32_t crc32c(std::string_view bytes) noexcept {
  uint32_t crc = 0xffffffff;
  for (const char c : bytes) crc = (crc >> 8) ^ kCrcTable[(crc ^ static_cast<uint8_t>(c)) & 0xff];
  return ~crc;
}

uint32_t masked_crc32c(std::string_view bytes) noexcept {
  return std::rotr(crc32c(bytes), 15) + 0xa282ead8U;
}

std::string tf_record(std::string_view data) {
  std::string record;
  put_fixed(record, uint64_t{data.size()});
  put_fixed(record, masked_crc32c(record));
  record += data;
  put_fixed(record, masked_crc32c(data));
  return record;
}

EventFile::EventFile(const std::filesystem::path& folder) {
  const auto now = std::chrono::duration_cast<std::chrono::microseconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  // TensorBoard reads the files in the order of their names, and restart_at counts on it.
  path_ = folder / fmt::format("events.out.tfevents.{}.{:06}.{}.{}", now / 1'000'000,
                               now % 1'000'000, host_name(), ::getpid());
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd_ < 0) throw_errno("write", path_, errno);
  std::string event;
  put_key(event, 1, kFixed64);
  put_fixed(event, static_cast<double>(now) / 1e6);
  put_bytes(event, 3, kFileVersion);
  try {
    write(event);
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

EventFile::~EventFile() { ::close(fd_); }

void EventFile::write(std::string_view event) { append_at_once(fd_, tf_record(event), path_); }

void EventFile::add_scalars(double wall_time, int64_t step, std::span<const Scalar> scalars) {
  std::string summary;
  for (const auto& [tag, value] : scalars) {
    std::string scalar;
    put_bytes(scalar, 1, tag);
    put_key(scalar, 2, kFixed32);
    put_fixed(scalar, static_cast<float>(value));
    put_bytes(summary, 1, scalar);
  }
  std::string event = event_head(wall_time, step);
  put_bytes(event, 5, summary);
  write(event);
}

void EventFile::restart_at(double wall_time, int64_t step) {
  std::string session_log;
  put_key(session_log, 1, kVarint);
  put_varint(session_log, 1);  // START
  std::string event = event_head(wall_time, step);
  put_bytes(event, 7, session_log);
  write(event);
}

void EventFile::sync() {
  if (::fdatasync(fd_) != 0) throw_errno("flush", path_, errno);
}

}  // namespace nanochat
