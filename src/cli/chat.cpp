#include "cli/chat.h"

#include <charconv>
#include <cstdio>
#include <functional>
#include <iostream>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "cli/chat_terminal.h"
#include "cli/interrupt.h"
#include "cli/text_io.h"
#include "cli/tools.h"
#include "core/error.h"
#include "core/log.h"
#include "tokenizer/utf8.h"

namespace nanochat::cli {
namespace {

/// An answer for people, as it is written: "... [6*7 -> 42] ..." where a tool was used. Control
/// characters are shown, not sent: what a model writes must not speak to the terminal.
class AnswerPrinter {
 public:
  explicit AnswerPrinter(bool colour) : colour_(colour) {}

  void piece(PartType type, std::string_view text) {
    if (type != type_) enter(type);
    if (text.empty()) return;
    if (type == PartType::kText) close_call();
    put(utf8::controls_shown(text), type_);
  }
  /// The end of the line.
  void finish() {
    enter(PartType::kText);
    close_call();
    put("\n", PartType::kText);
  }

 private:
  void enter(PartType type) {
    if (type_ == PartType::kPythonOutput || type == PartType::kPython) close_call();
    if (type != PartType::kText) {
      const std::string_view mark = type == PartType::kPython ? "[" : in_call_ ? " -> " : "[-> ";
      put(mark, PartType::kPython);
      in_call_ = true;
    }
    type_ = type;
  }
  void close_call() {
    if (std::exchange(in_call_, false)) put("]", PartType::kPython);
  }
  void put(std::string_view text, PartType type) {
    if (colour_ && type != shown_as_) {
      print_bytes(type == PartType::kText     ? "\x1b[0m"
                  : type == PartType::kPython ? "\x1b[36m"
                                              : "\x1b[33m");
    }
    shown_as_ = type;
    print_bytes(text);
    flush_stdout();
  }

  bool colour_;
  PartType type_ = PartType::kText;      // of what comes
  PartType shown_as_ = PartType::kText;  // the terminal's colour
  bool in_call_ = false;                 // its bracket is open
};

double parse_temperature(const std::string& text) {
  double value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value >= 0 && value <= 100)) {
    throw UsageError("'{}' is no temperature: a number from 0 to 100", utf8::controls_shown(text));
  }
  return value;
}

nlohmann::ordered_json tool_calls(const std::vector<MessagePart>& parts) {
  nlohmann::ordered_json calls = nlohmann::ordered_json::array();
  for (const MessagePart& part : parts) {
    if (part.type == PartType::kPython) calls.push_back({{"code", part.text}, {"result", nullptr}});
    if (part.type != PartType::kPythonOutput) continue;
    const bool answers_one = !calls.empty() && calls.back()["result"].is_null();
    if (!answers_one) calls.push_back({{"code", nullptr}, {"result", nullptr}});
    calls.back()["result"] = part.text;
  }
  return calls;
}

template <typename T>
nlohmann::ordered_json or_null(const std::optional<T>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
}

/// Throws as tool_named().
EngineOptions engine_options(const ChatOptions& options) {
  EngineOptions engine{
      .slots = 1, .context = options.context, .max_memory_bytes = options.max_memory_bytes};
  engine.tool = tool_named(options.tools, engine.tool_is_slow);
  return engine;
}

class Chat {
 public:
  Chat(const CommonOptions& common, const ChatOptions& options, LoadedModel& model,
       const EngineOptions& engine)
      : common_(common),
        options_(options),
        model_name_(model.found.name),
        engine_(*model.gpt, &model.tokenizer, engine),
        session_(engine_, model.tokenizer, options.settings) {
    session_.settings().use_tool = options.tools != "none";
    session_.memory().set_system(options.system);
  }

  void answer_one(const std::string& prompt);
  void answer_lines();
  void talk();

 private:
  using Stop = std::function<bool()>;

  /// Says it, or with nothing answers the last message again, and prints the answer.
  void answer(const std::optional<std::string>& message, const Stop& stop);
  void print_answer_json(const std::optional<std::string>& message, const ChatAnswer& answer) const;
  void explain_end(const ChatAnswer& answer) const;
  void tell_timing(const ChatAnswer& answer) const;
  /// False: the chat is over.
  bool handle(const ChatInput& input, const Stop& stop);
  void show_system() const;
  /// One line of standard input, or several joined.
  bool handle_line(const std::string& text);
  ChatTerminal::Input read_message(ChatTerminal& terminal) const;
  /// To the person: stdout is theirs in a conversation, and the results' otherwise.
  void tell(const std::string& text) const {
    if (!in_terminal_) return log_info("{}", text);
    print_bytes(text + "\n");
    flush_stdout();
  }

  const CommonOptions& common_;
  const ChatOptions& options_;
  std::string model_name_;
  Engine engine_;
  ChatSession session_;
  bool in_terminal_ = false;
  int64_t errors_ = 0, lines_ = 0;
};

// ---- answers -----------------------------------------------------------------------------------

void Chat::answer(const std::optional<std::string>& message, const Stop& stop) {
  AnswerPrinter printer(wants_colour(STDOUT_FILENO));
  bool printed = false;
  const ChatListener listener = [&](PartType type, std::string_view text) {
    if (common_.json) return;
    printed = true;
    printer.piece(type, text);
  };
  ChatAnswer result;
  try {
    result = message ? session_.say(*message, listener, stop) : session_.regenerate(listener, stop);
  } catch (const Error&) {
    if (printed) printer.finish();
    throw;
  }
  if (common_.json) {
    print_answer_json(message, result);
    flush_stdout();
  } else {
    printer.finish();
  }
  explain_end(result);
  if (options_.timing || options_.prompt) tell_timing(result);
}

void Chat::print_answer_json(const std::optional<std::string>& message,
                             const ChatAnswer& answer) const {
  nlohmann::ordered_json json{{"model", model_name_},
                              {"prompt", or_null(message)},
                              {"answer", answer.text()},
                              {"finish_reason", name_of(answer.finish)},
                              {"tokens", answer.tokens},
                              {"prompt_tokens", answer.prompt_tokens},
                              {"reused_tokens", answer.reused_tokens},
                              {"forgotten_turns", answer.forgotten_turns},
                              {"first_token_s", or_null(answer.first_token_s)}};
  if (options_.prompt) json["process_first_token_s"] = or_null(answer.process_first_token_s);
  json["tokens_per_second"] = or_null(answer.tokens_per_second);
  json["tool_calls"] = tool_calls(answer.parts);
  print_json(json);
}

/// Where the model did not end its answer by itself.
void Chat::explain_end(const ChatAnswer& answer) const {
  if (answer.forgotten_turns > 0) {
    log_info("(the context of {} tokens is full: left out the oldest {})", engine_.memory().context,
             answer.forgotten_turns == 1 ? std::string("turn")
                                         : fmt::format("{} turns", answer.forgotten_turns));
  }
  switch (answer.finish) {
    case FinishReason::kLength:
      return log_info("(stopped after {} tokens: --max-tokens)", answer.tokens);
    case FinishReason::kContext:
      return log_info("(stopped: the context of {} tokens is full)", engine_.memory().context);
    case FinishReason::kCancelled:
      return log_info("(stopped)");
    case FinishReason::kStop:
      if (answer.tokens == 0) log_info("(the model ended its answer at once)");
      return;
    case FinishReason::kFailed:
      return;
  }
}

void Chat::tell_timing(const ChatAnswer& answer) const {
  if (!answer.first_token_s) return log_info("no token");
  const double first_ms = *answer.first_token_s * 1e3;
  std::string line = fmt::format("first token after {:.1f} ms", first_ms);
  if (options_.prompt) {
    line =
        fmt::format("first token {:.2f} s after the program was started, {:.1f} ms after loading",
                    *answer.process_first_token_s, first_ms);
  }
  line += fmt::format("; {} tokens", answer.tokens);
  if (answer.tokens_per_second) line += fmt::format(", {:.1f} tokens/s", *answer.tokens_per_second);
  log_info("{}; prompt {} tokens, {} of them reused", line, answer.prompt_tokens,
           answer.reused_tokens);
}

void Chat::answer_one(const std::string& prompt) {
  const InterruptGuard interrupts;
  answer(prompt, [&] { return interrupts.requested(); });
  interrupts.check();
}

// ---- commands ----------------------------------------------------------------------------------

bool Chat::handle(const ChatInput& input, const Stop& stop) {
  SamplingOptions& sampling = session_.settings().sampling;
  switch (input.verb) {
    case ChatVerb::kMessage:
      answer(input.text, stop);
      break;
    case ChatVerb::kRegenerate:
      if (sampling.temperature == 0) tell("(at temperature 0 the answer is always the same)");
      answer({}, stop);
      break;
    case ChatVerb::kClear:
      session_.memory().clear();
      tell("a new conversation");
      break;
    case ChatVerb::kSystem:
      if (!input.text.empty()) session_.memory().set_system(input.text == "\"\"" ? "" : input.text);
      show_system();
      break;
    case ChatVerb::kTemperature:
      if (!input.text.empty()) sampling.temperature = parse_temperature(input.text);
      tell(fmt::format("temperature {}", sampling.temperature));
      break;
    case ChatVerb::kSave:
      session_.save(input.text);
      tell(fmt::format("written to {}", utf8::controls_shown(input.text)));
      break;
    case ChatVerb::kLoad:
      session_.load(input.text);
      tell(fmt::format("going on after {} turns", session_.memory().turns()));
      break;
    case ChatVerb::kHelp:
      tell(chat_help());
      break;
    case ChatVerb::kExit:
      return false;
  }
  return true;
}

void Chat::show_system() const {
  const std::string& system = session_.memory().system();
  tell(system.empty() ? "no system text" : "system text: " + utf8::controls_shown(system));
}

// ---- lines -------------------------------------------------------------------------------------

bool Chat::handle_line(const std::string& text) {
  std::optional<ChatInput> input;
  ++lines_;
  try {
    input = parse_chat_input(text);
    if (!input) return true;
    // Only while there is something to stop: at the keyboard, Ctrl-C is to end the program.
    const InterruptGuard interrupts;
    const bool goes_on = handle(*input, [&] { return interrupts.requested(); });
    interrupts.check();
    return goes_on;
  } catch (const IoError&) {  // the reader may be gone
    throw;
  } catch (const Error& error) {
    ++errors_;
    log_error("{}", error.what());
    if (common_.json && input && input->verb == ChatVerb::kMessage) {
      print_json({{"model", model_name_}, {"prompt", input->text}, {"error", error.what()}});
      flush_stdout();
    }
    return true;
  }
}

void Chat::answer_lines() {
  LineJoiner joiner;
  bool goes_on = true;
  for (std::string line; goes_on && std::getline(std::cin, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (const auto text = joiner.push(line)) goes_on = handle_line(*text);
  }
  if (std::ferror(stdin) != 0) throw IoError("cannot read standard input");
  if (const auto rest = joiner.finish(); rest && goes_on) handle_line(*rest);
  if (errors_ > 0) {
    throw UsageError("{} of {} lines had errors, see above", errors_, lines_);
  }
}

// ---- a conversation ----------------------------------------------------------------------------

/// A message with all its lines.
ChatTerminal::Input Chat::read_message(ChatTerminal& terminal) const {
  LineJoiner joiner;
  for (;;) {
    ChatTerminal::Input input = terminal.read_line(joiner.waiting() ? ". " : "> ");
    if (input.event == ChatTerminal::Event::kEnd && joiner.waiting()) {
      print_bytes("\n");
      input = {.event = ChatTerminal::Event::kLine, .text = joiner.finish().value_or("")};
      return input;
    }
    if (input.event != ChatTerminal::Event::kLine) {
      if (joiner.waiting()) input.text = "...";  // there was something
      return input;
    }
    if (input.text.find_first_not_of(" \t") != std::string::npos) terminal.remember(input.text);
    if (auto text = joiner.push(input.text)) {
      input.text = std::move(*text);
      return input;
    }
  }
}

void Chat::talk() {
  in_terminal_ = true;
  ChatTerminal terminal(common_.base_dir / "chat_history", wants_colour(STDOUT_FILENO));
  if (!console().quiet()) tell("/help lists commands; Ctrl-C stops an answer, Ctrl-D leaves");
  const Stop stop = [&] { return terminal.take_interrupt() || terminal.terminated(); };
  for (bool warned = false;;) {
    const ChatTerminal::Input typed = read_message(terminal);
    switch (typed.event) {
      case ChatTerminal::Event::kEnd:
        print_bytes("\n");
        return;
      case ChatTerminal::Event::kTermination:
        print_bytes("\n");
        throw Interrupted(SIGTERM);
      case ChatTerminal::Event::kInterrupt:
        print_bytes("^C\n");
        if (!typed.text.empty()) {
          warned = false;
        } else if (std::exchange(warned, true)) {
          throw Interrupted(SIGINT);
        } else {
          tell("(once more, or Ctrl-D, leaves)");
        }
        continue;
      case ChatTerminal::Event::kLine:
        warned = false;
        break;
    }
    try {
      const std::optional<ChatInput> input = parse_chat_input(typed.text);
      if (input && !handle(*input, stop)) return;
    } catch (const Error& error) {
      log_error("{}", error.what());
    }
    if (terminal.terminated()) throw Interrupted(SIGTERM);
  }
}

void warn_of_base_model(const LoadedModel& model) {
  if (model.checkpoint.state().value("stage", "") != "base") return;
  log_warning("{} is a base model: it goes on with texts and has not learnt to chat",
              model.found.name);
}

}  // namespace

void run_chat(const CommonOptions& common, const ChatOptions& options) {
  // What can be refused is refused before the model is loaded.
  options.settings.sampling.validate();
  const EngineOptions engine = engine_options(options);
  std::optional<std::string> prompt = options.prompt;
  if (prompt == "-") prompt = read_standard_input();
  if (prompt) {
    prompt = clean_message(*prompt);  // never a command
    if (prompt->empty()) throw UsageError("the prompt is empty: there is nothing to answer");
  }
  LoadedModel model = load_model_for_inference(common, options.model);
  warn_of_base_model(model);
  Chat chat(common, options, model, engine);
  if (prompt) {
    chat.answer_one(*prompt);
  } else if (common.json || ::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0) {
    chat.answer_lines();
  } else {
    chat.talk();
  }
}

}  // namespace nanochat::cli
