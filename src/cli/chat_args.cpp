#include <memory>
#include <string>

#include "cli/chat.h"
#include "cli/command_line.h"
#include "cli/option_types.h"

namespace nanochat::cli {
namespace {

CLI::Option* add_number(CLI::App& command, const char* name, double& value, const char* help) {
  return command.add_option(name, value, help)
      ->type_name("X")
      ->default_str(fmt::format("{}", value));
}

void add_model_flags(CLI::App& chat, ChatOptions& o) {
  const char* const kGroup = "Model";
  add_model(chat, o.model.model)
      ->description(
          "stage:tag@step, every part optional (sft, sft:d12), or the folder of a run or "
          "checkpoint; nothing: the newest of rl, sft, mid or base");
  add_model_tokenizer(chat, o.model.tokenizer)->group(kGroup);
  add_device(chat, o.model.device)->group(kGroup);
  add_dtype(chat, o.model.dtype)->group(kGroup);
  add_quantize(chat, o.model.quantize)->group(kGroup);
  add_count(chat, "--context", o.context,
            "what the model has before its eyes, at most; the oldest turns go when it is full "
            "(default: as it was trained)")
      ->type_name("TOKENS")
      ->default_str("")
      ->group(kGroup);
  add_bytes(chat, "--max-memory", o.max_memory_bytes,
            "refuse to start when weights, cache and the rest take more (2GiB, 900M)")
      ->group(kGroup);
}

void add_answer_flags(CLI::App& chat, ChatOptions& o) {
  const char* const kGroup = "Conversation";
  chat.add_option_function<std::string>(
          "-p,--prompt", [&o](const std::string& text) { o.prompt = text; },
          "print one answer and end; -: the prompt is standard input")
      ->type_name("TEXT")
      ->group(kGroup);
  chat.add_option("--system", o.system, "stands in front of your first message")
      ->type_name("TEXT")
      ->group(kGroup);
  add_count(chat, "--max-tokens", o.settings.max_tokens, "of an answer, at most")
      ->type_name("TOKENS")
      ->group(kGroup);
  chat.add_option_function<std::vector<std::string>>(
          "--stop",
          [&o](const std::vector<std::string>& texts) {
            for (const std::string& text : texts) {
              o.settings.stop_strings.push_back(unescaped(text));
            }
          },
          "ends an answer and is not shown; \\n is a new line; may be given several times")
      ->type_name("TEXT")
      ->allow_extra_args(false)
      ->group(kGroup);
  chat.add_option("--tools", o.tools, "what runs the python that a model writes in its answer")
      ->check(one_of({"none", "calculator", "python"}))
      ->type_name("none|calculator|python")
      ->capture_default_str()
      ->group(kGroup);
  chat.add_flag("--timing", o.timing, "say how fast each answer was, on stderr (-p always does)")
      ->group(kGroup);
}

void add_sampling_flags(CLI::App& chat, ChatSettings& o) {
  const char* const kGroup = "Sampling";
  SamplingOptions& s = o.sampling;
  add_number(chat, "--temperature", s.temperature, "0: always the most likely token")
      ->group(kGroup);
  add_count(chat, "--top-k", s.top_k, "draw only among the k most likely; 0: all")->group(kGroup);
  add_number(chat, "--top-p", s.top_p, "only the most likely that together have this probability")
      ->group(kGroup);
  add_number(chat, "--min-p", s.min_p, "only what is at least this times as likely as the first")
      ->group(kGroup);
  add_number(chat, "--repetition-penalty", s.repetition_penalty,
             "above 1: less of what is there already")
      ->group(kGroup);
  chat.add_option("--seed", o.seed, "one seed and one conversation are one answer")
      ->type_name("N")
      ->capture_default_str()
      ->group(kGroup);
}

}  // namespace

void add_chat_command(CLI::App& app, CommonOptions& common, Action& action) {
  const auto o = std::make_shared<ChatOptions>();
  CLI::App& chat = add_command(app, "chat", "talk with a model, or -p \"one question\"", common,
                               action, o, run_chat);
  add_model_flags(chat, *o);
  add_answer_flags(chat, *o);
  add_sampling_flags(chat, o->settings);
  add_common_options(chat, common);
}

}  // namespace nanochat::cli
