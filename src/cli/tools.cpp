#include "cli/tools.h"

#include <memory>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "engine/tools/calculator.h"
#include "engine/tools/sandbox.h"
#include "tokenizer/utf8.h"

namespace nanochat::cli {
namespace {

constexpr size_t kMaxResultBytes = 4096;  // a context is not to drown in one result

/// The block, with the value of an expression at its end printed, as Python's prompt does: models
/// that have learnt to calculate write expressions.
std::string program_of(std::string_view block) {
  // JSON's escapes are Python's, and what is not ASCII stays as it is.
  return fmt::format(
      R"(import ast
block = ast.parse({})
last = block.body.pop() if block.body and isinstance(block.body[-1], ast.Expr) else None
names = {{"__name__": "__main__"}}
exec(compile(block, "<block>", "exec"), names)
if last is not None:
    value = eval(compile(ast.Expression(last.value), "<block>", "eval"), names)
    if value is not None:
        print(value)
)",
      nlohmann::json(block).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

/// What a model is told of a run: what it printed, and the error where there was one.
std::string result_of(const ExecutionResult& run) {
  std::string text = run.out;
  while (text.ends_with('\n')) text.pop_back();
  if (run.error) text += (text.empty() ? "" : "\n") + *run.error;
  if (text.size() <= kMaxResultBytes) return text;
  text.resize(kMaxResultBytes);
  text.resize(text.size() - utf8::incomplete_tail(text));
  return text + "...";
}

}  // namespace

Tool tool_named(std::string_view name, bool& is_slow) {
  is_slow = name == "python";
  if (name == "none") return {};
  if (name == "calculator") return calculate;
  NC_CHECK(name == "python", "tool {}", name);
  const auto sandbox = std::make_shared<const PythonSandbox>();
  return [sandbox](std::string_view code) -> std::optional<std::string> {
    return result_of(sandbox->run(program_of(code)));
  };
}

}  // namespace nanochat::cli
