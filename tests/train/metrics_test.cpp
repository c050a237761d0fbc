#include "train/metrics.h"

#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "core/file.h"
#include "support/refusal.h"
#include "support/temporary_folder.h"
#include "train/small_run.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using test::refusal;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// ---- a reader of event files, which shares no code with the writer

template <typename T>
T fixed(std::string_view& bytes) {
  T value{};
  NC_CHECK(bytes.size() >= sizeof(T), "cut short");
  std::memcpy(&value, bytes.data(), sizeof(T));
  bytes.remove_prefix(sizeof(T));
  return value;
}

uint64_t varint(std::string_view& bytes) {
  uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = fixed<uint8_t>(bytes);
    value |= uint64_t{byte & 0x7fU} << shift;
    if (byte < 0x80) return value;
  }
}

std::string_view take(std::string_view& bytes, size_t n) {
  NC_CHECK(bytes.size() >= n, "cut short");
  const std::string_view taken = bytes.substr(0, n);
  bytes.remove_prefix(n);
  return taken;
}

/// Bit by bit, from the definition: the remainder of a division of polynomials.
uint32_t slow_crc32c(std::string_view bytes) {
  uint32_t crc = ~0U;
  for (const char c : bytes) {
    crc ^= static_cast<uint8_t>(c);
    for (int i = 0; i < 8; ++i) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82f63b78U : crc >> 1;
  }
  return ~crc;
}
uint32_t slow_mask(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8U; }

struct Event {
  double wall_time = 0;
  int64_t step = 0;
  std::string file_version;
  std::vector<std::pair<std::string, float>> scalars;
  bool restart = false;
};

std::pair<std::string, float> decode_value(std::string_view bytes) {
  std::pair<std::string, float> scalar;
  while (!bytes.empty()) {
    const uint64_t key = varint(bytes);
    if (key == (1 << 3 | 2)) {
      scalar.first = take(bytes, varint(bytes));
    } else {
      EXPECT_EQ(key, 2U << 3 | 5U);
      scalar.second = fixed<float>(bytes);
    }
  }
  return scalar;
}

Event decode_event(std::string_view bytes) {
  Event event;
  while (!bytes.empty()) {
    switch (const uint64_t key = varint(bytes)) {
      case 1 << 3 | 1:
        event.wall_time = fixed<double>(bytes);
        break;
      case 2 << 3 | 0:
        event.step = static_cast<int64_t>(varint(bytes));
        break;
      case 3 << 3 | 2:
        event.file_version = take(bytes, varint(bytes));
        break;
      case 5 << 3 | 2:
        for (std::string_view values = take(bytes, varint(bytes)); !values.empty();) {
          EXPECT_EQ(varint(values), 1U << 3 | 2U);
          event.scalars.push_back(decode_value(take(values, varint(values))));
        }
        break;
      case 7 << 3 | 2:
        EXPECT_EQ(take(bytes, varint(bytes)), std::string_view("\x08\x01"));
        event.restart = true;
        break;
      default:
        ADD_FAILURE() << "key " << key;
        return event;
    }
  }
  return event;
}

std::vector<Event> read_events(const fs::path& file) {
  const std::string text = read_file(file, 1 << 20);
  std::vector<Event> events;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view head = rest.substr(0, 8);
    const auto size = fixed<uint64_t>(rest);
    EXPECT_EQ(fixed<uint32_t>(rest), slow_mask(slow_crc32c(head)));
    const std::string_view data = take(rest, size);
    EXPECT_EQ(fixed<uint32_t>(rest), slow_mask(slow_crc32c(data)));
    events.push_back(decode_event(data));
  }
  return events;
}

class MetricsTest : public ::testing::Test {
 protected:
  [[nodiscard]] std::string text() const { return read_file(file_, 1 << 20); }
  [[nodiscard]] std::vector<fs::path> event_files() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(run_.path())) {
      if (entry.path().filename().string().starts_with("events.out.tfevents.")) {
        files.push_back(entry.path());
      }
    }
    std::sort(files.begin(), files.end());
    return files;
  }
  /// "step:loss" of each record.
  [[nodiscard]] std::vector<std::string> losses() const {
    std::vector<std::string> found;
    for (const auto& [step, record] : read_metrics(file_)) {
      found.push_back(std::to_string(step).append(":").append(record["loss"].dump()));
    }
    return found;
  }

  test::TemporaryFolder temporary_;
  const RunFolder run_{temporary_ / "run"};
  const fs::path file_ = run_.path() / kMetricsFileName;
};

TEST(Crc32c, AgreesWithKnownAnswersAndTheDefinition) {
  EXPECT_EQ(crc32c(""), 0U);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aaU);    // RFC 3720, B.4
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43U);  // likewise
  std::string text;
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(crc32c(text), slow_crc32c(text)) << i;
    text += static_cast<char>(i * 37);
  }
}

TEST_F(MetricsTest, EachLineIsWholeAsSoonAsItIsWritten) {
  MetricsWriter metrics(run_);
  metrics.write(1, {{"loss", 2.5}, {"note", "first"}});
  const std::string first = text();
  EXPECT_TRUE(first.starts_with("{\"step\":1,\"time\":")) << first;
  EXPECT_TRUE(first.ends_with(",\"loss\":2.5,\"note\":\"first\"}\n")) << first;
  metrics.write(2, {{"loss", 2.25}});
  EXPECT_TRUE(text().starts_with(first));
  EXPECT_THAT(losses(), ElementsAre("1:2.5", "2:2.25"));
}

TEST_F(MetricsTest, LinesAboutOneStepAddUp) {
  MetricsWriter metrics(run_);
  metrics.write(1, {{"loss", 2.5}});
  metrics.write(1, {{"val_bpb", 1.5}});
  const auto records = read_metrics(file_);
  EXPECT_EQ(records.at(1)["loss"], 2.5);
  EXPECT_EQ(records.at(1)["val_bpb"], 1.5);
}

TEST_F(MetricsTest, ATornLastLineIsLeftOutByReadersAndRemovedByTheNextWriter) {
  { MetricsWriter(run_).write(1, {{"loss", 2.5}}); }
  const std::string good = text();
  temporary_.write("run/metrics.jsonl", good + "{\"step\":2,\"ti");
  EXPECT_THAT(losses(), ElementsAre("1:2.5"));
  MetricsWriter metrics(run_, 1);
  metrics.write(2, {{"loss", 2.0}});
  EXPECT_THAT(losses(), ElementsAre("1:2.5", "2:2.0"));
  EXPECT_TRUE(text().starts_with(good + "{\"step\":1,")) << text();
}

TEST_F(MetricsTest, AResumedRunVoidsWhatCameAfterItsCheckpoint) {
  {
    MetricsWriter metrics(run_);
    for (int64_t step = 1; step <= 5; ++step)
      metrics.write(step, {{"loss", 10.0 * static_cast<double>(step)}});
  }
  {
    MetricsWriter metrics(run_, 2);
    metrics.write(3, {{"loss", 31.0}});
  }
  EXPECT_THAT(losses(), ElementsAre("1:10.0", "2:20.0", "3:31.0"));
  { MetricsWriter(run_).write(0, {{"loss", 7.0}}); }  // from the beginning again
  EXPECT_THAT(losses(), ElementsAre("0:7.0"));
  EXPECT_EQ(std::ranges::count(text(), '\n'), 5 + 2 + 2) << "nothing is removed from the file";
}

TEST_F(MetricsTest, ANumberThatIsNotFiniteIsNull) {
  MetricsWriter(run_).write(1, {{"loss", std::numeric_limits<double>::quiet_NaN()}});
  EXPECT_THAT(losses(), ElementsAre("1:null"));
}

TEST_F(MetricsTest, ALineInTheMiddleThatIsNoRecordIsNamed) {
  temporary_.write("run/metrics.jsonl", "{\"step\":1}\n{\"step\":\n{\"step\":3}\n");
  EXPECT_THAT(refusal<DataError>([&] { static_cast<void>(read_metrics(file_)); }),
              HasSubstr("metrics.jsonl: line 2 is no record of a step"));
}

TEST_F(MetricsTest, TensorBoardGetsTheNumbers) {
  {
    MetricsWriter metrics(run_);
    metrics.write(1, {{"loss", 2.5}, {"note", "text"}, {"tokens", 32768}});
    metrics.write(300, {{"loss", 0.1}});
    metrics.write(301, {{"note", "no numbers, no event"}});
  }
  ASSERT_EQ(event_files().size(), 1U);
  const auto events = read_events(event_files()[0]);
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[0].file_version, "brain.Event:2");
  EXPECT_GT(events[0].wall_time, 1.7e9);
  using Scalars = std::vector<std::pair<std::string, float>>;
  EXPECT_EQ(events[1].step, 1);
  EXPECT_EQ(events[1].scalars, (Scalars{{"loss", 2.5F}, {"tokens", 32768.0F}}));
  EXPECT_EQ(events[2].step, 300);
  EXPECT_EQ(events[2].scalars, (Scalars{{"loss", 0.1F}}));
  EXPECT_GE(events[2].wall_time, events[1].wall_time);
}

TEST_F(MetricsTest, TensorBoardIsToldToForgetWhatAResumedRunVoids) {
  { MetricsWriter(run_).write(5, {{"loss", 2.5}}); }
  { MetricsWriter(run_, 2).write(3, {{"loss", 2.5}}); }
  const auto files = event_files();
  ASSERT_EQ(files.size(), 2U) << "each process has a file of its own";
  const auto events = read_events(files[1]);
  ASSERT_EQ(events.size(), 3U);
  EXPECT_TRUE(events[1].restart);
  EXPECT_EQ(events[1].step, 3) << "the first step that is void";
  EXPECT_EQ(events[2].step, 3);
}

}  // namespace
}  // namespace nanochat
