/// TensorBoard's event files, scalars only.
///
/// The file is a row of records (TFRecord): the length of the data as 64 bits, the masked CRC-32C
/// of those 8 bytes as 32, the data, the masked CRC-32C of the data as 32; little-endian. Each
/// record is a protobuf message, tensorflow.Event:
///   1 wall_time double   2 step int64   3 file_version string ("brain.Event:2", first record only)
///   5 summary: 1 value (repeated): 1 tag string, 2 simple_value float
///   7 session_log: 1 status (1 = START)
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace nanochat {

/// CRC-32C (Castagnoli) of "123456789" is 0xE3069283.
[[nodiscard]] uint32_t crc32c(std::string_view bytes) noexcept;
/// As TFRecord stores it: rotated right by 15, plus 0xa282ead8, so that the checksum of data that
/// hold a checksum is no accident.
[[nodiscard]] uint32_t masked_crc32c(std::string_view bytes) noexcept;
/// One record around `data`.
[[nodiscard]] std::string tf_record(std::string_view data);

/// One file: "<folder>/events.out.tfevents.<seconds>.<microseconds>.<host>.<pid>". Each event is
/// one write(), so a kill tears at most the last record, which TensorBoard leaves out.
class EventFile {
 public:
  using Scalar = std::pair<std::string, double>;  ///< "loss", 3.21

  /// A new file. Throws as core/file.h; so does everything below.
  explicit EventFile(const std::filesystem::path& folder);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  /// Rounds the values to f32, which is what the format has. wall_time: seconds since 1970.
  void add_scalars(double wall_time, int64_t step, std::span<const Scalar> scalars);
  /// Tells TensorBoard to forget what other files say about `step` and later ones.
  void restart_at(double wall_time, int64_t step);
  /// Flushes to the disk.
  void sync();

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  void write(std::string_view event);

  std::filesystem::path path_;
  int fd_ = -1;
};

}  // namespace nanochat
