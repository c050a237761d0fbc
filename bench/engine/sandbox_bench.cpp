// What a run in the sandbox costs beyond the code's own time. The goal is a median of 25 ms at
// most. Beside it, in the same run: the interpreter alone, which is the least that any way of
// running Python costs, and bubblewrap alone.
//   ./sandbox_bench
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <spawn.h>
#include <sys/wait.h>

#include "core/error.h"
#include "engine/tools/sandbox.h"

namespace nanochat {
namespace {

void sandbox(benchmark::State& state) {
  const PythonSandbox python;
  for (auto _ : state) NC_CHECK(python.run("pass").success);
}

/// Code that imports what HumanEval's problems import.
void sandbox_with_imports(benchmark::State& state) {
  const PythonSandbox python;
  for (auto _ : state) {
    NC_CHECK(python.run("import collections, functools, math, re, string, typing").success);
  }
}

void program(benchmark::State& state, std::vector<std::string> words) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  for (auto _ : state) {
    pid_t pid = 0;
    int status = 0;
    NC_CHECK(::posix_spawn(&pid, argv[0], nullptr, nullptr, argv.data(), environ) == 0);
    NC_CHECK(::waitpid(pid, &status, 0) == pid && status == 0, "{} failed", words[0]);
  }
}

void add_all() {
  const auto configure = [](benchmark::internal::Benchmark* b) {
    // One run is one sample, so that the median is that of runs.
    b->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(1)->Repetitions(51);
    b->ReportAggregatesOnly();
  };
  const auto add_program = [&](const char* name, const std::vector<std::string>& words) {
    configure(benchmark::RegisterBenchmark(name, program, words));
  };
  configure(benchmark::RegisterBenchmark("sandbox", sandbox));
  configure(benchmark::RegisterBenchmark("sandbox_with_imports", sandbox_with_imports));
  add_program("python_alone", {"/usr/bin/python3", "-I", "-S", "-c", "pass"});
  add_program("bwrap_alone",
              {"/usr/bin/bwrap", "--unshare-all", "--ro-bind", "/", "/", "/usr/bin/true"});
  add_program("true_alone", {"/usr/bin/true"});
}

}  // namespace
}  // namespace nanochat

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  nanochat::add_all();
  benchmark::RunSpecifiedBenchmarks();
}
