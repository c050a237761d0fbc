#include <memory>
#include <string>

#include "cli/command_line.h"
#include "cli/option_types.h"
#include "cli/serve.h"

namespace nanochat::cli {
namespace {

CLI::Option* add_seconds(CLI::App& command, const char* name, double& value, const char* help) {
  return command.add_option(name, value, help)
      ->check(CLI::Range(0.0, 86400.0).description(""))
      ->type_name("S")
      ->default_str(fmt::format("{}", value));
}

void add_model_flags(CLI::App& serve, ServeOptions& o) {
  const char* const kGroup = "Model";
  add_model(serve, o.model.model)
      ->description(
          "stage:tag@step, every part optional (sft, sft:d12), or the folder of a run or "
          "checkpoint; nothing: the newest of rl, sft, mid or base, and where there is none and "
          "--runs is given, training is shown alone");
  add_model_tokenizer(serve, o.model.tokenizer)->group(kGroup);
  add_dtype(serve, o.model.dtype)->group(kGroup);
  add_quantize(serve, o.model.quantize)->group(kGroup);
  add_count(serve, "--slots", o.slots, "answers that are written at a time; the others wait")
      ->type_name("N")
      ->group(kGroup);
  add_count(serve, "--context", o.context,
            "of a conversation and its answer, at most (default: as the model was trained)")
      ->type_name("TOKENS")
      ->default_str("")
      ->group(kGroup);
  add_bytes(serve, "--max-memory", o.max_memory_bytes,
            "for weights, cache and the rest; slots become fewer, or it refuses to start")
      ->group(kGroup);
  serve.add_option("--tools", o.tools, "what runs the python that a model writes in its answer")
      ->check(one_of({"none", "calculator", "python"}))
      ->type_name("none|calculator|python")
      ->capture_default_str()
      ->group(kGroup);
}

void add_default_flags(CLI::App& serve, ServeOptions& o) {
  const char* const kGroup = "What a chat request that does not say gets";
  serve.add_option("--temperature", o.defaults.temperature, "0: always the most likely token")
      ->check(CLI::Range(0.0, 2.0).description(""))
      ->type_name("X")
      ->default_str(fmt::format("{}", o.defaults.temperature))
      ->group(kGroup);
  add_count(serve, "--top-k", o.defaults.top_k, "draw only among the k most likely; 0: all")
      ->group(kGroup);
  add_count(serve, "--max-tokens", o.defaults.max_tokens,
            "of an answer by /chat/completions; /v1 has OpenAI's rule, until the context is full")
      ->type_name("TOKENS")
      ->group(kGroup);
}

void add_network_flags(CLI::App& serve, ServeOptions& o) {
  const char* const kGroup = "Network";
  serve
      .add_option("--host", o.server.host,
                  "the address to listen at; 0.0.0.0 or :: for all, which wants a key")
      ->type_name("ADDRESS")
      ->capture_default_str()
      ->group(kGroup);
  serve.add_option("--port", o.server.port, "0: any that is free")
      ->check(CLI::Range(0, 65535).description(""))
      ->type_name("N")
      ->capture_default_str()
      ->group(kGroup);
  serve
      .add_option("--api-key", o.api_key,
                  "what clients must send (Authorization: Bearer KEY); others on this machine can "
                  "see it in the list of processes")
      ->type_name("KEY")
      ->group(kGroup);
  serve.add_option("--api-key-file", o.api_key_file, "the same from the first line of a file")
      ->type_name("FILE")
      ->group(kGroup);
  serve
      .add_option("--cors-origin", o.cors_origins,
                  "pages from there may use the APIs (https://chat.example.com); repeatable; also "
                  "the address under which a reverse proxy shows this server")
      ->type_name("ORIGIN")
      ->allow_extra_args(false)
      ->group(kGroup);
}

void add_limit_flags(CLI::App& serve, ServeOptions& o) {
  const char* const kGroup = "Limits";
  add_count(serve, "--queue", o.queue, "requests that wait for a slot; more get 429")
      ->group(kGroup);
  add_bytes(serve, "--max-body", o.max_body_bytes, "of a request (default: 1MiB); larger gets 413")
      ->group(kGroup);
  add_count(serve, "--max-connections", o.server.max_connections, "more get 503")->group(kGroup);
  add_seconds(serve, "--timeout", o.timeout,
              "in which a request's head must be there, its body, and in which a client must take "
              "something of its answer")
      ->group(kGroup);
  add_seconds(serve, "--idle-timeout", o.server.idle_timeout,
              "after which a connection without a request is closed")
      ->group(kGroup);
  add_seconds(serve, "--drain-seconds", o.server.drain,
              "in which answers may end after SIGTERM or Ctrl-C; a second signal ends all")
      ->group(kGroup);
}

}  // namespace

void add_serve_command(CLI::App& app, CommonOptions& common, Action& action) {
  const auto o = std::make_shared<ServeOptions>();
  CLI::App& serve = add_command(app, "serve", "the page in the browser, and the APIs", common,
                                action, o, run_serve);
  add_model_flags(serve, *o);
  add_default_flags(serve, *o);
  add_network_flags(serve, *o);
  add_limit_flags(serve, *o);
  const char* const kGroup = "Training and logs";
  serve
      .add_option_function<std::string>(
          "--runs", [o](const std::string& dir) { o->runs = dir; },
          "the folder of runs that the training view shows (default: the base folder's)")
      ->type_name("DIR")
      ->group(kGroup);
  serve
      .add_option("--access-log", o->access_log,
                  "append a line of JSON for each request to this file, not to stderr")
      ->type_name("FILE")
      ->group(kGroup);
  serve
      .add_flag("--log-messages", o->log_messages,
                "what was asked and answered too; without it no text of a conversation is logged")
      ->group(kGroup);
  add_common_options(serve, common);
}

}  // namespace nanochat::cli
