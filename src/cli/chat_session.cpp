#include "cli/chat_session.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "core/error.h"
#include "core/file.h"
#include "core/process_time.h"
#include "tokenizer/utf8.h"

namespace nanochat::cli {
namespace {

constexpr std::string_view kBlockMark = "\"\"\"";
constexpr int64_t kMaxConversationBytes = int64_t{64} << 20;

struct Command {
  std::string_view name;
  ChatVerb verb;
  std::string_view argument;  // in [brackets]: may be left out; empty: there is none
  std::string_view help;
};
constexpr Command kCommands[] = {
    {"/clear", ChatVerb::kClear, "", "begin anew; the system text stays"},
    {"/regen", ChatVerb::kRegenerate, "", "another answer to your last message"},
    {"/system", ChatVerb::kSystem, "[TEXT]",
     "what stands in front of your first message; alone: show it; \"\": none"},
    {"/temp", ChatVerb::kTemperature, "[X]", "temperature; 0: always the most likely token"},
    {"/save", ChatVerb::kSave, "FILE", "write the conversation as JSON"},
    {"/load", ChatVerb::kLoad, "FILE", "go on with a conversation that was saved"},
    {"/help", ChatVerb::kHelp, "", "this"},
    {"/exit", ChatVerb::kExit, "", "leave; so does Ctrl-D"},
};

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

double seconds_between(std::chrono::steady_clock::time_point a,
                       std::chrono::steady_clock::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}

}  // namespace

// ---- what is typed -----------------------------------------------------------------------------

std::optional<std::string> LineJoiner::push(std::string_view line) {
  const bool is_mark = !continues_ && trimmed(line) == kBlockMark;
  if (in_block_) {
    if (is_mark) {
      in_block_ = false;
      return std::exchange(text_, {});
    }
    if (!text_.empty()) text_ += '\n';
    text_ += line;
    return {};
  }
  if (is_mark) {
    in_block_ = true;
    return {};
  }
  continues_ = line.ends_with('\\');
  if (continues_) line.remove_suffix(1);
  text_ += line;
  if (!continues_) return std::exchange(text_, {});
  text_ += '\n';
  return {};
}

std::optional<std::string> LineJoiner::finish() {
  in_block_ = continues_ = false;
  if (text_.empty()) return {};
  return std::exchange(text_, {});
}

std::string clean_message(std::string_view text) { return utf8::replace_invalid(trimmed(text)); }

std::optional<ChatInput> parse_chat_input(std::string_view text) {
  const std::string mended = clean_message(text);
  if (mended.empty()) return {};
  if (mended[0] != '/') return ChatInput{.text = mended};
  if (mended.starts_with("//")) return ChatInput{.text = mended.substr(1)};
  const size_t space = std::min(mended.find_first_of(" \t\n"), mended.size());
  const std::string name = mended.substr(0, space);
  std::string rest(trimmed(std::string_view(mended).substr(space)));
  const auto* const command = std::ranges::find(kCommands, name, &Command::name);
  if (command == std::end(kCommands)) {
    throw UsageError(
        "unknown command {}: /help lists them; begin with // to say something with a slash in "
        "front",
        utf8::controls_shown(name));
  }
  if (command->argument.empty() && !rest.empty()) {
    throw UsageError("{} takes nothing behind it", name);
  }
  if (!command->argument.empty() && command->argument[0] != '[' && rest.empty()) {
    throw UsageError("{} needs a {}", name, command->argument);
  }
  return ChatInput{.verb = command->verb, .text = std::move(rest)};
}

std::string chat_help() {
  std::string text;
  for (const Command& c : kCommands) {
    text += fmt::format("  {:<15} {}\n", fmt::format("{} {}", c.name, c.argument), c.help);
  }
  return text +
         "A message of several lines: end a line with a backslash to go on, or put the lines "
         "between\ntwo lines of \"\"\". A message that begins with a slash: type two.\n"
         "Ctrl-C stops an answer; what was written stays. Twice at an empty prompt it leaves.";
}

// ---- the conversation --------------------------------------------------------------------------

std::string ChatAnswer::text() const {
  std::string all;
  for (const MessagePart& part : parts) {
    if (part.type == PartType::kText) all += part.text;
  }
  return all;
}

ChatSession::ChatSession(Engine& engine, const Tokenizer& tokenizer, ChatSettings settings)
    : engine_(engine),
      tokenizer_(tokenizer),
      tokens_(tokenizer),
      settings_(std::move(settings)),
      memory_(tokenizer) {}

ChatAnswer ChatSession::say(std::string message, const ChatListener& listener,
                            const std::function<bool()>& stop) {
  const uint32_t sample = std::exchange(sample_, 0);
  memory_.add_message(std::move(message));
  try {
    return answer(listener, stop);
  } catch (...) {
    memory_.remove_turn();
    sample_ = sample;
    throw;
  }
}

ChatAnswer ChatSession::regenerate(const ChatListener& listener,
                                   const std::function<bool()>& stop) {
  const ChatMemory before = memory_;
  if (!memory_.remove_answer()) throw UsageError("there is no answer yet");
  ++sample_;
  try {
    return answer(listener, stop);
  } catch (...) {
    memory_ = before;
    --sample_;
    throw;
  }
}

ChatAnswer ChatSession::answer(const ChatListener& listener, const std::function<bool()>& stop) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begin = Clock::now();
  const int64_t context = engine_.memory().context;
  const int64_t alone = memory_.tokens_of_last();
  if (alone >= context) {
    throw UsageError("your message is {} tokens{}, the context {}: shorten it, or raise --context",
                     alone, memory_.system().empty() ? "" : " with the system text", context);
  }
  ChatAnswer result;
  const int64_t room =
      std::clamp<int64_t>(settings_.max_tokens, 1, std::max<int64_t>(context / 2, 1));
  result.forgotten_turns = memory_.forget_oldest(context - room);

  GenerationRequest request{.prompt = memory_.prompt(),
                            .max_tokens = settings_.max_tokens,
                            .sampling = settings_.sampling,
                            .seed = settings_.seed,
                            .sample = sample_,
                            .stop_ids = {tokens_.assistant_end, tokens_.bos},
                            .stop_strings = settings_.stop_strings,
                            .use_tool = settings_.use_tool};
  result.prompt_tokens = std::ssize(request.prompt);
  std::vector<int32_t> ids;
  std::string shown;
  bool done = false;
  int64_t sampled = 0;
  Clock::time_point first, last;
  PartTracker part(tokens_);
  const int64_t reused_before = engine_.stats().reused_tokens;
  const auto listening = std::make_shared<bool>(true);  // outlives this call, as requests may
  const auto hear = [&, listening](const GenerationEvent& event) {
    if (!*listening) return;
    if (event.id >= 0) {
      if (event.sampled) last = Clock::now();
      if (ids.empty()) {
        first = last;
        result.process_first_token_s = seconds_since_process_start();
      }
      sampled += event.sampled ? 1 : 0;
      ids.push_back(event.id);
    }
    shown += event.text;
    const PartType before = part.type();
    if (listener && !event.text.empty()) listener(before, event.text);
    part.push(event.id);
    if (listener && part.type() != before) listener(part.type(), "");
    if (event.finish) {
      done = true;
      result.finish = *event.finish;
    }
  };
  const RequestId id = engine_.submit(std::move(request), hear);
  try {
    bool cancelled = false;
    while (!done) {
      if (!cancelled && stop && stop()) {
        engine_.cancel(id);
        cancelled = true;
      }
      engine_.step();
    }
  } catch (...) {
    *listening = false;
    engine_.cancel(id);
    throw;
  }
  if (result.finish == FinishReason::kStop && !settings_.stop_strings.empty()) {
    ids = without_stop_string(std::move(ids), shown);
  }
  result.tokens = std::ssize(ids);
  result.reused_tokens = engine_.stats().reused_tokens - reused_before;
  result.parts = answer_parts(tokenizer_, ids);
  if (sampled > 0) result.first_token_s = seconds_between(begin, first);
  if (sampled > 1) {
    result.tokens_per_second = static_cast<double>(sampled - 1) / seconds_between(first, last);
  }
  memory_.add_answer(std::move(ids));
  return result;
}

/// The tokens whose text was shown, all of it; one that the stop string begins in is replaced by
/// the encoding of its part in front.
std::vector<int32_t> ChatSession::without_stop_string(std::vector<int32_t> ids,
                                                      std::string_view shown) const {
  size_t n = 0, bytes = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (tokenizer_.is_special(ids[i])) {
      n = i + 1;
      continue;
    }
    const std::string_view text = tokenizer_.token_bytes(ids[i]);
    if (!shown.substr(bytes).starts_with(text)) break;
    bytes += text.size();
    n = i + 1;
  }
  if (n == ids.size()) return ids;  // a stop token ended it
  ids.resize(n);
  tokenizer_.encode_to(shown.substr(bytes), ids);
  return ids;
}

void ChatSession::save(const std::filesystem::path& path) const {
  if (memory_.turns() == 0) throw UsageError("nothing has been said yet");
  write_file_atomically(path, conversation_json(memory_.conversation()));
}

void ChatSession::load(const std::filesystem::path& path) {
  const std::string name = path.string();
  const Conversation loaded = parse_conversation(read_file(path, kMaxConversationBytes), name);
  try {
    memory_.set_conversation(loaded);
  } catch (const DataError& error) {
    throw DataError("{}: {}", name, error.what());
  }
  sample_ = 0;
}

}  // namespace nanochat::cli
