#include "model/safetensors.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "core/file.h"
#include "support/compare.h"
#include "support/fixtures.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using test::same_bits;

/// A folder that dies with the test.
class SafetensorsTest : public ::testing::Test {
 protected:
  SafetensorsTest() {
    std::string pattern = (fs::temp_directory_path() / "safetensors-XXXXXX").string();
    NC_CHECK(mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
  }
  ~SafetensorsTest() override { fs::remove_all(folder_); }

  [[nodiscard]] fs::path path(std::string_view name = "model.safetensors") const {
    return folder_ / name;
  }

  fs::path folder_;
};

/// Numbers that depend on the index and the seed, so that no two tensors or rows are alike.
template <typename T>
Tensor counted(Shape shape, int seed) {
  Tensor t(shape, kDTypeOf<T>);
  T* const data = t.data<T>();
  for (int64_t i = 0; i < t.numel(); ++i) {
    data[i] = static_cast<T>(static_cast<float>((seed * 37 + i * 11) % 101) + 1.0F);
  }
  return t;
}

/// One of each dtype, all ranks, an empty one, and sizes that force an order.
std::vector<NamedTensor> assorted() {
  return {{"u8.odd", counted<uint8_t>({3}, 1)},
          {"transformer.wte.weight", counted<float>({4, 8}, 2)},
          {"bf16.rank3", counted<Bf16>({1, 2, 3}, 3)},
          {"scalar", counted<float>({}, 4)},
          {"f64.rank4", counted<double>({2, 1, 2, 1}, 5)},
          {"empty", counted<int32_t>({0, 5}, 6)},
          {"i64", counted<int64_t>({3}, 7)},
          {"f16", counted<F16>({5}, 8)},
          {"i32", counted<int32_t>({1}, 9)}};
}

std::string bytes_of(const fs::path& path) { return read_file(path, 1 << 20); }

StoragePtr in_memory(std::string_view bytes) {
  Tensor copy({static_cast<int64_t>(bytes.size())}, DType::kU8);
  if (!bytes.empty()) std::memcpy(copy.raw(), bytes.data(), bytes.size());
  return copy.storage();
}

/// A file as another program may write it: any header, unpadded, then the data.
std::string file_of(std::string_view header, std::string_view data) {
  const uint64_t length = header.size();
  std::string bytes(sizeof(length), '\0');
  std::memcpy(bytes.data(), &length, sizeof(length));
  return bytes.append(header).append(data);
}

void expect_same_tensors(const SafetensorsFile& file, std::span<const NamedTensor> expected) {
  EXPECT_EQ(file.entries().size(), expected.size());
  for (const NamedTensor& t : expected) {
    ASSERT_TRUE(file.contains(t.name)) << t.name;
    EXPECT_TRUE(same_bits(file.tensor(t.name), t.tensor)) << t.name;
  }
}

/// The DataError that opening `bytes` throws; "" when it opens.
std::string refusal(std::string_view bytes, SafetensorsChecks checks = {}) {
  try {
    const SafetensorsFile file(in_memory(bytes), "x.safetensors", checks);
  } catch (const DataError& error) {
    return error.what();
  }
  return "";
}

TEST_F(SafetensorsTest, WhatIsWrittenComesBack) {
  const std::vector<NamedTensor> tensors = assorted();
  const SafetensorsMetadata metadata{{"note", "a \"quoted\"\nnote \xe4\xb8\xad"}, {"", ""}};
  write_safetensors(path(), tensors, metadata);
  const SafetensorsFile file(path(), {.checksums = true, .finite = true});
  expect_same_tensors(file, tensors);
  EXPECT_EQ(file.metadata(), metadata);
  EXPECT_TRUE(file.has_checksums());
  EXPECT_EQ(file.name(), path().string());
  EXPECT_FALSE(file.contains("transformer.wte"));
}

TEST_F(SafetensorsTest, DataAreAlignedAndTensorsAreViewsThatKeepTheMapAlive) {
  const std::vector<NamedTensor> tensors = assorted();
  write_safetensors(path(), tensors);
  Tensor kept;
  {
    const SafetensorsFile file(path());
    EXPECT_EQ(file.entries().front().begin_bytes % 64, 0);
    for (const SafetensorsEntry& entry : file.entries()) {
      EXPECT_EQ(entry.begin_bytes % size_of(entry.dtype), 0) << entry.name;
      if (entry.size_bytes % 64 == 0) {
        EXPECT_EQ(entry.begin_bytes % 64, 0) << entry.name;
      }
      EXPECT_EQ(file.tensor(entry.name).storage().get(), file.tensor("scalar").storage().get());
    }
    kept = file.tensor("transformer.wte.weight");
  }
  fs::remove(path());
  EXPECT_TRUE(same_bits(kept, tensors[1].tensor));
}

TEST_F(SafetensorsTest, SameInputGivesTheSameBytes) {
  write_safetensors(path("a"), assorted(), {{"step", "7"}});
  write_safetensors(path("b"), assorted(), {{"step", "7"}});
  EXPECT_EQ(bytes_of(path("a")), bytes_of(path("b")));
}

TEST_F(SafetensorsTest, AFileMayHaveNoTensors) {
  write_safetensors(path(), {}, {{"note", "nothing"}});
  const SafetensorsFile file(path());
  EXPECT_TRUE(file.names().empty());
  EXPECT_EQ(file.metadata().at("note"), "nothing");
  EXPECT_EQ(refusal(file_of("{}", "")), "");
}

TEST_F(SafetensorsTest, ForeignFilesOpenWithoutChecksums) {
  const std::string header =
      R"({ "b":{"data_offsets":[5,9],"shape":[],"dtype":"F32"},)"
      R"("a":{"dtype":"U8","shape":[1,5],"data_offsets":[0,5]}, "__metadata__":{"k":"v"} }   )";
  const float one = 1.5F;
  std::string data = "hello";
  data.append(reinterpret_cast<const char*>(&one), sizeof(one));
  const SafetensorsFile file(in_memory(file_of(header, data)), "foreign");
  EXPECT_FALSE(file.has_checksums());
  EXPECT_EQ(file.names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(file.metadata(), (SafetensorsMetadata{{"k", "v"}}));
  const Tensor b = file.tensor("b");  // misaligned in the file, so a copy
  EXPECT_EQ(reinterpret_cast<uintptr_t>(b.raw()) % alignof(float), 0U);
  EXPECT_EQ(b.rank(), 0);
  EXPECT_EQ(*b.data<float>(), one);
  EXPECT_EQ(*file.tensor("a").data<uint8_t>(), 'h');
}

TEST_F(SafetensorsTest, AMissingTensorIsNamed) {
  write_safetensors(path(), assorted());
  const SafetensorsFile file(path());
  try {
    static_cast<void>(file.tensor("lm_head.weight"));
    FAIL() << "found it";
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("no tensor 'lm_head.weight'"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find(path().string()), std::string::npos);
  }
}

struct Malformed {
  std::string_view header;
  int data_bytes;
  std::string_view expected;  // a part of the message
};

// Each header is wrong in one way; most describe a tensor 'x'.
constexpr Malformed kMalformed[] = {
    {"", 0, "does not begin with '{'"},
    {"[]", 0, "does not begin with '{'"},
    {" {}", 0, "does not begin with '{'"},
    {"\xef\xbb\xbf{}", 0, "does not begin with '{'"},
    {"{", 0, "not JSON at byte 9"},
    {"{}}", 0, "not JSON at byte 10"},
    {"{\"x\":}", 0, "not JSON at byte 13"},
    {"{\"\xff\":{}}", 0, "not JSON"},
    {R"({/**/})", 0, "not JSON"},
    {{"{}\0", 3}, 0, "not JSON at byte 10"},
    {"{}", 1, "ends at byte 11, but its tensors end at byte 10"},
    {R"({"x":[]})", 0, "tensor 'x': its description is an array"},
    {R"({"x":null})", 0, "tensor 'x': its description is null"},
    {R"({"x":7})", 0, "tensor 'x': its description is 7"},
    {R"({"x":"F32"})", 0, "tensor 'x': its description is a text"},
    {R"({"x":{}})", 0, "tensor 'x': needs a dtype"},
    {R"({"x":{"dtype":"U8","shape":[0]}})", 0, "tensor 'x': needs a dtype"},
    {R"({"x":{"dtype":"U8","data_offsets":[0,0]}})", 0, "tensor 'x': needs a dtype"},
    {R"({"x":{"shape":[0],"data_offsets":[0,0]}})", 0, "tensor 'x': needs a dtype"},
    {R"({"x":{"dtype":"U8","shape":[0],"data_offsets":[]}})", 0, "'x': needs a dtype"},
    {R"({"x":{"dtype":"U8","shape":[0],"data_offsets":[0]}})", 0, "'x': needs a dtype"},
    {R"({"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0,0]}})", 0, "more than two"},
    {R"({"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"z":1}})", 0, "unknown field 'z'"},
    {R"({"x":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}})", 0, "'dtype' twice"},
    {R"({"x":{"dtype":"U8","shape":[0],"shape":[0],"data_offsets":[0,0]}})", 0, "'shape' twice"},
    {R"({"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
     R"("x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
     0, "tensor 'x': appears twice"},
    {R"({"x":{"dtype":"U9","shape":[0],"data_offsets":[0,0]}})", 0, "its dtype is 'U9'"},
    {R"({"x":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})", 1, "its dtype is 'BOOL'"},
    {R"({"x":{"dtype":"f32","shape":[1],"data_offsets":[0,4]}})", 4, "its dtype is 'f32'"},
    {R"({"x":{"dtype":1,"shape":[0],"data_offsets":[0,0]}})", 0, "its dtype holds 1"},
    {R"({"x":{"dtype":["U8"],"shape":[0],"data_offsets":[0,0]}})", 0, "dtype holds an array"},
    {R"({"x":{"dtype":"U8","shape":"0","data_offsets":[0,0]}})", 0, "its shape holds a text"},
    {R"({"x":{"dtype":"U8","shape":0,"data_offsets":[0,0]}})", 0, "its shape holds 0"},
    {R"({"x":{"dtype":"U8","shape":[-1],"data_offsets":[0,0]}})", 0, "its shape holds -1"},
    {R"({"x":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})", 1, "its shape holds 1.0"},
    {R"({"x":{"dtype":"U8","shape":[1e0],"data_offsets":[0,1]}})", 1, "its shape holds 1e0"},
    {R"({"x":{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}})", 1, "its shape holds a text"},
    {R"({"x":{"dtype":"U8","shape":[null],"data_offsets":[0,1]}})", 1, "its shape holds null"},
    {R"({"x":{"dtype":"U8","shape":[true],"data_offsets":[0,1]}})", 1, "holds a boolean"},
    {R"({"x":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}})", 1, "its shape holds an array"},
    {R"({"x":{"dtype":"U8","shape":[{}],"data_offsets":[0,1]}})", 1, "its shape holds an object"},
    {R"({"x":{"dtype":"U8","shape":[1,1,1,1,1],"data_offsets":[0,1]}})", 1, "more than 4 extents"},
    {R"({"x":{"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,0]}})", 0, "its shape"},
    {R"({"x":{"dtype":"U8","shape":[99999999999999999999],"data_offsets":[0,0]}})", 0,
     "its shape holds 99999999999999999999"},
    // Products that wrap around to the size in the file: 2^32 * 2^32 = 0, 2^62 * 4 bytes = 0.
    {R"({"x":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0, "0 bytes"},
    {R"({"x":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}})", 0, "0 bytes"},
    {R"({"x":{"dtype":"U8","shape":[4611686018427387904,4,0],"data_offsets":[0,0]}})", 0,
     "0 bytes"},
    {R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4,
     "has 4 bytes, which is not F32 of shape [2]"},
    {R"({"x":{"dtype":"F32","shape":[],"data_offsets":[0,0]}})", 0, "has 0 bytes"},
    {R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}})", 4, "its data are bytes 4 to 0"},
    {R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 3, "bytes 0 to 4 of 3"},
    {R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[-4,0]}})", 4, "data_offsets holds -4"},
    {R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[0.0,4]}})", 4, "data_offsets holds 0.0"},
    {R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[0,18446744073709551615]}})", 4,
     "data_offsets holds 18446744073709551615"},
    {R"({"x":{"dtype":"U8","shape":[3],"data_offsets":[1,4]}})", 4, "tensor 'x': its data begin"},
    {R"({"x":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}})", 4, "but its tensors end"},
    {R"({"y":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
     R"("x":{"dtype":"U8","shape":[3],"data_offsets":[1,4]}})",
     4, "tensor 'x': its data begin"},
    {R"({"y":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
     R"("x":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
     4, "tensor 'x': its data begin"},
    {R"({"y":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
     R"("x":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}})",
     4, "tensor 'x': its data begin"},
    {R"({"__metadata__":[]})", 0, "'__metadata__': its description is an array"},
    {R"({"__metadata__":{"k":1}})", 0, "its metadata 'k' is 1, not a text"},
    {R"({"__metadata__":{"k":{}}})", 0, "its metadata 'k' is an object"},
    {R"({"__metadata__":{"k":"","k":""}})", 0, "its metadata has 'k' twice"},
    {R"({"__metadata__":{},"__metadata__":{}})", 0, "__metadata__ twice"},
    {R"({"__metadata__":{"nanochat.xxh3":"0"}})", 0, "its metadata does not match"},
    {R"({"__metadata__":{"nanochat.xxh3:x":"0123456789abcdef"}})", 0, "'x': has a checksum but"},
    {R"({"__metadata__":{"nanochat.xxh3:x":"0123456789abcdef"},)"
     R"("x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
     0, "lost its own checksum"},
    {R"({"__metadata__":{"nanochat.xxh3:x":"0123456789ABCDEF"},)"
     R"("x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
     0, "'x': its checksum is unreadable"},
};

TEST_F(SafetensorsTest, EveryMalformedHeaderIsRefusedWithItsReason) {
  for (const Malformed& m : kMalformed) {
    const std::string data(static_cast<size_t>(m.data_bytes), '\1');
    const std::string message = refusal(file_of(m.header, data));
    EXPECT_NE(message.find(m.expected), std::string::npos) << m.header << "\n  " << message;
    EXPECT_TRUE(message.starts_with("x.safetensors: ")) << message;
    EXPECT_TRUE(message.ends_with(": download it or write it again")) << message;
  }
}

TEST_F(SafetensorsTest, DeepNestingIsRefusedAtOnce) {
  const std::string deep(1 << 20, '[');
  EXPECT_NE(refusal(file_of("{\"x\":" + deep, "")).find("is an array"), std::string::npos);
}

TEST_F(SafetensorsTest, AnAbsurdHeaderLengthIsRefused) {
  for (const uint64_t length : {uint64_t{1} << 60, ~uint64_t{0}, uint64_t{100'000'001}}) {
    std::string bytes = file_of("{}", "");
    std::memcpy(bytes.data(), &length, sizeof(length));
    EXPECT_NE(refusal(bytes).find(fmt::format("claims {} bytes", length)), std::string::npos);
  }
}

TEST_F(SafetensorsTest, NamesInErrorsCannotDriveTheTerminal) {
  const std::string message = refusal(file_of(R"({"\u001b[31m\n":1})", ""));
  EXPECT_NE(message.find("tensor '?[31m?'"), std::string::npos) << message;
  const std::string long_name(5000, 'n');
  EXPECT_LT(refusal(file_of("{\"" + long_name + "\":1}", "")).size(), 300U);
}

/// A small file with checksums, and the tensors in it.
std::vector<NamedTensor> few() {
  return {{"w", counted<float>({2, 3}, 1)}, {"b", counted<Bf16>({3}, 2)}};
}

TEST_F(SafetensorsTest, ATruncatedFileIsRefusedWhereverItEnds) {
  write_safetensors(path(), few(), {{"k", "v"}});
  const std::string bytes = bytes_of(path());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_NE(refusal(bytes.substr(0, size), {.checksums = false}), "") << size;
  }
  EXPECT_NE(refusal(bytes + '\0', {.checksums = false}), "");
  EXPECT_EQ(refusal(bytes), "");
}

TEST_F(SafetensorsTest, EverySingleBitFlipIsDetected) {
  write_safetensors(path(), few(), {{"k", "some text"}});
  const std::string good = bytes_of(path());
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    EXPECT_NE(refusal(bytes), "") << "bit " << bit % 8 << " of byte " << bit / 8;
  }
}

TEST_F(SafetensorsTest, ADamagedTensorIsNamedAndOnlyVerifyReadsItsBytes) {
  write_safetensors(path(), few());
  std::string bytes = bytes_of(path());
  bytes.back() ^= 1;  // the last byte belongs to the smaller, less aligned tensor
  EXPECT_NE(refusal(bytes).find("tensor 'b': is damaged, its checksum differs"), std::string::npos);
  EXPECT_EQ(refusal(bytes, {.checksums = false}), "");
  const SafetensorsFile file(in_memory(bytes), "later", {.checksums = false});
  EXPECT_THROW(file.verify(), DataError);
}

TEST_F(SafetensorsTest, ExchangedTensorsOfOneShapeAreDetected) {
  write_safetensors(path(), std::vector<NamedTensor>{{"q", counted<float>({2}, 1)},
                                                     {"k", counted<float>({2}, 2)}});
  std::string bytes = bytes_of(path());
  const size_t q = bytes.find("\"q\":{");
  const size_t k = bytes.find("\"k\":{");
  std::swap(bytes[q + 1], bytes[k + 1]);
  EXPECT_NE(refusal(bytes).find("is damaged"), std::string::npos);
}

template <typename T>
void expect_non_finite_is_named(const fs::path& path, T bad) {
  Tensor t = counted<T>({3, 5000}, 1);
  t.data<T>()[12345] = bad;
  const std::vector<NamedTensor> tensors{{"fine", counted<T>({7}, 2)}, {"sick", t}};
  write_safetensors(path, tensors);
  EXPECT_NO_THROW(SafetensorsFile{path});
  try {
    const SafetensorsFile file(path, {.checksums = true, .finite = true});
    ADD_FAILURE() << "opened";
  } catch (const NumericError& error) {
    EXPECT_NE(std::string(error.what()).find("tensor 'sick': element 12345 is not finite"),
              std::string::npos)
        << error.what();
  }
  fs::remove(path);
  EXPECT_THROW(write_safetensors(path, tensors, {}, true), NumericError);
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(SafetensorsTest, NanAndInfinityAreNamedOnRequest) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  expect_non_finite_is_named(path(), nan);
  expect_non_finite_is_named(path(), -inf);
  expect_non_finite_is_named(path(), std::numeric_limits<double>::quiet_NaN());
  expect_non_finite_is_named(path(), Bf16(inf));
  expect_non_finite_is_named(path(), F16(nan));
}

TEST_F(SafetensorsTest, TheLargestFiniteNumbersAndAnyIntegerPassTheFiniteCheck) {
  const std::array floats{std::numeric_limits<float>::max(), -std::numeric_limits<float>::max(),
                          std::numeric_limits<float>::denorm_min(), 0.0F};
  const std::array integers{-1, 0x7f800000};  // would be a NaN and an infinity as f32
  write_safetensors(path(),
                    std::vector<NamedTensor>{{"f", tensor_of<float>(floats, {4})},
                                             {"i", tensor_of<int32_t>(integers, {2})}},
                    {}, true);
  EXPECT_NO_THROW(SafetensorsFile(path(), {.checksums = true, .finite = true}));
}

TEST_F(SafetensorsTest, PathsThatCannotBeReadGiveTheRightError) {
  EXPECT_THROW(SafetensorsFile{path("missing")}, NotFoundError);
  EXPECT_THROW(SafetensorsFile{folder_}, IoError);
  std::ofstream(path("empty")).flush();
  EXPECT_THROW(SafetensorsFile{path("empty")}, DataError);
  EXPECT_THROW(write_safetensors(path("no/such/folder"), few()), NotFoundError);
}

TEST_F(SafetensorsTest, TextThatIsNotUtf8IsRefusedBeforeTheOldFileIsTouched) {
  write_safetensors(path(), few());
  const std::string before = bytes_of(path());
  EXPECT_THROW(write_safetensors(path(), few(), {{"k", "\xff"}}), DataError);
  EXPECT_THROW(
      write_safetensors(path(), std::vector<NamedTensor>{{"\xc3", counted<float>({1}, 1)}}),
      DataError);
  EXPECT_EQ(bytes_of(path()), before);
}

TEST_F(SafetensorsTest, AFullDiskIsAnIoErrorAndTheOldFileSurvives) {
  write_safetensors(path(), few());
  const std::string before = bytes_of(path());
  const std::vector<NamedTensor> big{{"w", counted<float>({1 << 18}, 1)}};
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlimit tight{.rlim_cur = 1 << 16, .rlim_max = limit.rlim_max};
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  EXPECT_THROW(write_safetensors(path(), big), IoError);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(bytes_of(path()), before);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

TEST_F(SafetensorsTest, FixturesReadAndComeBackUnchanged) {
  std::vector<fs::path> files;
  for (const std::string_view folder : {"classic", "core", "engine", "modern", "tasks"}) {
    std::ranges::copy(test::find_fixtures(fmt::format("{}/*.safetensors", folder)),
                      std::back_inserter(files));
  }
  if (files.empty()) GTEST_SKIP() << test::missing_fixture("*/*.safetensors");
  for (const fs::path& fixture : files) {
    SCOPED_TRACE(fixture.string());
    const SafetensorsFile theirs(fixture);
    std::vector<NamedTensor> tensors;
    for (const std::string& name : theirs.names()) tensors.push_back({name, theirs.tensor(name)});
    EXPECT_FALSE(tensors.empty());
    write_safetensors(path(), tensors, theirs.metadata());
    const SafetensorsFile ours(path());
    expect_same_tensors(ours, tensors);
    EXPECT_EQ(ours.metadata(), theirs.metadata());
  }
}

}  // namespace
}  // namespace nanochat
