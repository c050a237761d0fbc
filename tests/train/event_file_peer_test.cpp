// labels: peers
// TensorBoard's own reader reads our event files. $NANOCHAT_PEERS_PYTHON names the interpreter that
// has the package tensorboard; default python3.
#include <cstdio>
#include <cstdlib>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "support/temporary_folder.h"
#include "train/metrics.h"

namespace nanochat {
namespace {

/// Prints "tag step value" of every scalar that TensorBoard would draw.
constexpr std::string_view kRead = R"py(
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1]).Reload()
for tag in events.Tags()["scalars"]:
    for e in events.Scalars(tag):
        print(tag, e.step, e.value)
for tag in events.Tags()["tensors"]:
    for e in events.Tensors(tag):
        print(tag, e.step, list(e.tensor_proto.float_val)[0])
)py";

std::string output_of(const std::string& command) {
  FILE* const pipe = ::popen(command.c_str(), "r");
  std::string text;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) text += static_cast<char>(c);
  EXPECT_EQ(::pclose(pipe), 0) << command;
  return text;
}

TEST(EventFilePeerTest, TensorBoardDrawsWhatTheRunKept) {
  const char* const named = std::getenv("NANOCHAT_PEERS_PYTHON");
  const std::string python = named != nullptr ? named : "python3";
  if (std::system((python + " -c 'import tensorboard' 2>/dev/null").c_str()) != 0) {
    GTEST_SKIP() << python << " has no package tensorboard: install it, or name another "
                 << "interpreter in NANOCHAT_PEERS_PYTHON";
  }
  const test::TemporaryFolder temporary;
  const RunFolder run(temporary / "run");
  {
    MetricsWriter metrics(run);
    for (int64_t step = 1; step <= 4; ++step)
      metrics.write(step, {{"loss", 8.0 / static_cast<double>(step)}});
  }
  {
    MetricsWriter metrics(run, 2);  // steps 3 and 4 are void
    metrics.write(3, {{"loss", 0.5}, {"val_bpb", 1.25}});
  }
  const std::string script = temporary.write("read.py", kRead);
  EXPECT_EQ(output_of(fmt::format("{} {} {} 2>/dev/null", python, script, run.path().string())),
            "loss 1 8.0\nloss 2 4.0\nloss 3 0.5\nval_bpb 3 1.25\n");
}

}  // namespace
}  // namespace nanochat
