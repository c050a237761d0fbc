#include "cli/chat_terminal.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <cwchar>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <histedit.h>
#include <langinfo.h>
#include <poll.h>
#include <unistd.h>

#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "tokenizer/utf8.h"

namespace nanochat::cli {
namespace {

constexpr int kHistoryLines = 1000;
constexpr int64_t kMaxHistoryBytes = int64_t{16} << 20;
constexpr wchar_t kNoColumns = L'\1';  // around what takes none in a prompt

// What has been signalled, for the thread that waits for keys. Its end of a pipe wakes it up: a
// signal may be handled by any thread.
std::atomic<bool> interrupted = false, termination = false, resized = false, continued = false;
std::atomic<int> wake_fd = -1;
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free,
              "a signal handler writes them");

void remember_signal(int signal) {
  const int saved = errno;
  if (signal == SIGINT) interrupted = true;
  if (signal == SIGTERM) termination = true;
  if (signal == SIGWINCH) resized = true;
  if (signal == SIGCONT) continued = true;
  const char byte = 0;
  [[maybe_unused]] const ssize_t n = ::write(wake_fd, &byte, 1);  // full: it will wake up anyhow
  errno = saved;
}

std::wstring wide(std::string_view text) {
  std::wstring out;
  for (size_t at = 0; at < text.size();) {
    const utf8::Character c = utf8::decode(text, at);
    out += static_cast<wchar_t>(c.code_point);
    at += c.length;
  }
  return out;
}

std::string narrow(std::wstring_view text) {
  std::string out;
  for (const wchar_t c : text) {
    const auto code = static_cast<char32_t>(c);
    const bool valid = code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
    utf8::append(out, valid ? code : 0xFFFD);
  }
  return out;
}

/// libedit asks the locale how to write a character and how wide it is.
void use_utf8() {
  std::setlocale(LC_CTYPE, "");
  if (std::strcmp(::nl_langinfo(CODESET), "UTF-8") != 0) std::setlocale(LC_CTYPE, "C.UTF-8");
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    if (end > 0) lines.push_back(utf8::replace_invalid(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

}  // namespace

struct ChatTerminal::Impl {
  Impl(std::filesystem::path history_path, bool with_colour)
      : history_file(std::move(history_path)), colour(with_colour) {}

  void catch_signals();
  void release_signals();
  void open_editor();
  void load_history();
  void enter(std::string_view line) {
    HistEventW event;
    ::history_w(history, &event, H_ENTER, wide(line).c_str());
  }

  /// Waits for a byte and reads it: 1, 0 at the end, -1 after a signal or an error.
  int read_byte(char& byte);
  int read_character(wchar_t& character);

  static Impl& of(EditLine* editor) {
    void* self = nullptr;
    ::el_wget(editor, EL_CLIENTDATA, &self);
    return *static_cast<Impl*>(self);
  }
  static wchar_t* show_prompt(EditLine* editor) { return of(editor).prompt.data(); }
  static int next_character(EditLine* editor, wchar_t* character) {
    return of(editor).read_character(*character);
  }

  std::filesystem::path history_file;
  bool colour;
  std::unique_ptr<EditLine, decltype(&::el_end)> editor{nullptr, ::el_end};
  HistoryW* history = nullptr;
  std::wstring prompt;
  std::string unsaid;  // what stood there when a signal came
  bool history_failed = false;

  int wake_pipe[2] = {-1, -1};
  std::array<std::pair<int, struct sigaction>, 4> old_actions{
      {{SIGINT, {}}, {SIGTERM, {}}, {SIGWINCH, {}}, {SIGCONT, {}}}};
};

void ChatTerminal::Impl::catch_signals() {
  if (::pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK) != 0) throw_errno("make", "a pipe", errno);
  wake_fd = wake_pipe[1];
  interrupted = termination = resized = continued = false;
  struct sigaction action {};
  action.sa_handler = remember_signal;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  for (auto& [signal, old] : old_actions) ::sigaction(signal, &action, &old);
}

void ChatTerminal::Impl::release_signals() {
  for (const auto& [signal, old] : old_actions) ::sigaction(signal, &old, nullptr);
  for (const int fd : wake_pipe) ::close(fd);
}

void ChatTerminal::Impl::open_editor() {
  editor.reset(::el_init("nanochat", stdin, stdout, stderr));
  if (!editor) throw DeviceError("the terminal cannot be used for editing lines");
  EditLine* const e = editor.get();
  ::el_wset(e, EL_CLIENTDATA, this);
  ::el_wset(e, EL_PROMPT_ESC, show_prompt, kNoColumns);
  ::el_wset(e, EL_GETCFN, next_character);
  ::el_wset(e, EL_SIGNAL, 0);
  ::el_wset(e, EL_EDITOR, L"emacs");
  ::el_wset(e, EL_BIND, L"^R", L"em-inc-search-prev", nullptr);
  ::el_wset(e, EL_BIND, L"\\e[3~", L"ed-delete-next-char", nullptr);
  ::el_wset(e, EL_BIND, L"\\e[1~", L"ed-move-to-beg", nullptr);
  ::el_wset(e, EL_BIND, L"\\e[4~", L"ed-move-to-end", nullptr);
  ::el_wset(e, EL_BIND, L"\\e[1;5C", L"em-next-word", nullptr);
  ::el_wset(e, EL_BIND, L"\\e[1;5D", L"ed-prev-word", nullptr);
  ::el_wset(e, EL_HIST, ::history_w, history);
  ::el_source(e, nullptr);
}

void ChatTerminal::Impl::load_history() {
  std::vector<std::string> lines;
  try {
    lines = lines_of(read_file(history_file, kMaxHistoryBytes));
    if (lines.size() > 2 * size_t{kHistoryLines}) {
      lines.erase(lines.begin(), lines.end() - kHistoryLines);
      std::string text;
      for (const std::string& line : lines) text += line + '\n';
      write_file_atomically(history_file, text);  // it keeps its mode
    }
  } catch (const Error&) {  // none yet, or not ours to read
  }
  for (const std::string& line : lines) enter(line);
}

int ChatTerminal::Impl::read_byte(char& byte) {
  for (;;) {
    pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0},
                    {.fd = wake_pipe[0], .events = POLLIN, .revents = 0}};
    if (::poll(fds, 2, -1) < 0 && errno != EINTR) return -1;
    if (fds[1].revents != 0) {
      char drained[64];
      while (::read(wake_pipe[0], drained, sizeof drained) > 0) {
      }
    }
    if (interrupted || termination) return -1;
    if (resized.exchange(false)) ::el_resize(editor.get());
    if (continued.exchange(false)) {  // the shell has had the terminal meanwhile
      ::el_wset(editor.get(), EL_PREP_TERM, 0);
      ::el_wset(editor.get(), EL_PREP_TERM, 1);
      ::el_wset(editor.get(), EL_REFRESH);
    }
    if (fds[0].revents == 0) continue;
    const ssize_t n = ::read(STDIN_FILENO, &byte, 1);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    return n == 1 ? 1 : 0;  // EIO: the terminal is gone
  }
}

int ChatTerminal::Impl::read_character(wchar_t& character) {
  std::string bytes;
  do {
    char byte = 0;
    const int n = read_byte(byte);
    if (n != 1) {
      const LineInfoW* const line = ::el_wline(editor.get());
      unsaid = narrow({line->buffer, static_cast<size_t>(line->lastchar - line->buffer)});
      return n;
    }
    bytes += byte;
  } while (utf8::incomplete_tail(bytes) == bytes.size());
  character = static_cast<wchar_t>(utf8::decode(bytes, 0).code_point);
  return 1;
}

ChatTerminal::ChatTerminal(const std::filesystem::path& history_file, bool colour)
    : impl_(std::make_unique<Impl>(history_file, colour)) {
  use_utf8();
  impl_->history = ::history_winit();
  if (impl_->history == nullptr) throw OutOfMemoryError("no memory for a history of lines");
  HistEventW event;
  ::history_w(impl_->history, &event, H_SETSIZE, kHistoryLines);
  ::history_w(impl_->history, &event, H_SETUNIQUE, 1);
  impl_->load_history();
  impl_->open_editor();
  impl_->catch_signals();
}

ChatTerminal::~ChatTerminal() {
  if (wake_fd >= 0) impl_->release_signals();
  wake_fd = -1;
  impl_->editor.reset();
  ::history_wend(impl_->history);
}

ChatTerminal::Input ChatTerminal::read_line(std::string_view prompt) {
  Impl& i = *impl_;
  i.prompt = wide(prompt);
  if (i.colour) {
    const std::wstring bold_green = L"\1\x1b[1;32m\1", plain = L"\1\x1b[0m\1";
    // libedit loses what stands behind the last character.
    i.prompt = bold_green + i.prompt.substr(0, i.prompt.size() - 1) + plain + i.prompt.back();
  }
  i.unsaid.clear();
  int length = 0;
  const wchar_t* const line = ::el_wgets(i.editor.get(), &length);
  std::fflush(stdout);
  if (termination) return {.event = Event::kTermination};
  if (interrupted.exchange(false)) return {.event = Event::kInterrupt, .text = i.unsaid};
  if (line == nullptr || length <= 0) return {.event = Event::kEnd};
  std::wstring_view text(line, static_cast<size_t>(length));
  while (!text.empty() && (text.back() == L'\n' || text.back() == L'\r')) text.remove_suffix(1);
  return {.event = Event::kLine, .text = narrow(text)};
}

void ChatTerminal::remember(std::string_view line) {
  impl_->enter(line);
  if (impl_->history_failed) return;
  // Appended in one go, so that several chats may share the file.
  const std::filesystem::path& path = impl_->history_file;
  std::error_code ignored;
  std::filesystem::create_directories(path.parent_path(), ignored);
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const std::string text = std::string(line) + '\n';
  const bool written =
      fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (!written) log_warning("{}: no history is kept: {}", path.string(), std::strerror(errno));
  impl_->history_failed = !written;
  if (fd >= 0) ::close(fd);
}

bool ChatTerminal::take_interrupt() noexcept { return interrupted.exchange(false); }

bool ChatTerminal::terminated() const noexcept { return termination; }

}  // namespace nanochat::cli
