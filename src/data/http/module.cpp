#include "data/http/module.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <exception>
#include <memory>
#include <mutex>
#include <string_view>

#include <curl/curl.h>
#include <openssl/evp.h>

#include "core/error.h"

namespace nanochat {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kPollMs = 50;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

bool is_same_word(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

int64_t parse_size(std::string_view text) {
  int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value >= 0 ? value : -1;
}

/// "\"1234abcd...\"" as its 64 digits in lower case; empty for anything else.
std::string parse_sha256(std::string_view text) {
  if (text.size() == 66 && text.front() == '"' && text.back() == '"') text = text.substr(1, 64);
  if (text.size() != 64) return "";
  std::string digits(text);
  for (char& c : digits) {
    if (std::isxdigit(static_cast<unsigned char>(c)) == 0) return "";
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return digits;
}

/// A line of an answer's head.
void read_header(std::string_view line, HttpHead& head) {
  if (line.starts_with("HTTP/")) {  // of the next answer, after a redirect
    head = {.etag = {},
            .last_modified = {},
            .content_range = {},
            .content_type = {},
            .linked_sha256 = head.linked_sha256,
            .linked_size = head.linked_size};
    return;
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (is_same_word(name, "ETag")) head.etag = value;
  if (is_same_word(name, "Last-Modified")) head.last_modified = value;
  if (is_same_word(name, "Content-Range")) head.content_range = value;
  if (is_same_word(name, "Content-Type")) head.content_type = value;
  if (is_same_word(name, "X-Linked-ETag")) head.linked_sha256 = parse_sha256(value);
  if (is_same_word(name, "X-Linked-Size")) head.linked_size = parse_size(value);
}

bool would_fail_again(CURLcode code, std::string_view message) {
  switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
      // Also said of what is no HTTP, such as bytes left over from the answer before.
      return !message.starts_with("Received HTTP/0.9");
    case CURLE_URL_MALFORMAT:
    case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
      return true;
    default:
      return false;
  }
}

struct FreeEasy {
  void operator()(CURL* easy) const { ::curl_easy_cleanup(easy); }
};
struct FreeMulti {
  void operator()(CURLM* multi) const { ::curl_multi_cleanup(multi); }
};
struct FreeList {
  void operator()(curl_slist* list) const { ::curl_slist_free_all(list); }
};

/// What the callbacks of one transfer share. Nothing may be thrown through libcurl, so what the
/// receiver throws waits here.
struct Transfer {
  CURL* easy;
  HttpReceiver& receiver;
  HttpHead head{};
  bool head_given = false;
  bool unwanted = false;
  int64_t window_bytes = 0;  // since the last look at the clock
  std::exception_ptr failure{};

  /// False: no more is wanted.
  bool give_head() {
    if (head_given) return !unwanted;
    head_given = true;
    long status = 0;
    ::curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    head.status = static_cast<int>(status);
    curl_off_t length = -1;
    ::curl_easy_getinfo(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    head.content_length = length;
    unwanted = !receiver.on_head(head);
    return !unwanted;
  }
  /// False: the transfer ends.
  template <typename F>
  bool guarded(F&& f) noexcept {
    try {
      return f();
    } catch (...) {
      failure = std::current_exception();
      return false;
    }
  }
};

size_t on_header_line(char* data, size_t, size_t size, void* transfer) {
  auto& t = *static_cast<Transfer*>(transfer);
  t.window_bytes += static_cast<int64_t>(size);
  return t.guarded([&] {
    read_header({data, size}, t.head);
    return true;
  })
             ? size
             : 0;
}

size_t on_body(char* data, size_t, size_t size, void* transfer) {
  auto& t = *static_cast<Transfer*>(transfer);
  t.window_bytes += static_cast<int64_t>(size);
  return t.guarded([&] {
    if (!t.give_head()) return false;
    t.receiver.on_bytes({reinterpret_cast<const std::byte*>(data), size});
    return true;
  })
             ? size
             : size + 1;  // what libcurl takes as a refusal, also of no bytes
}

class CurlClient final : public HttpClient {
 public:
  explicit CurlClient(const char* user_agent)
      : user_agent_(user_agent), easy_(::curl_easy_init()), multi_(::curl_multi_init()) {
    if (!easy_ || !multi_) throw OutOfMemoryError("no memory for a connection");
  }

  HttpResult get(const HttpRequest& request, HttpReceiver& receiver) override {
    Transfer transfer{.easy = easy_.get(), .receiver = receiver};
    std::array<char, CURL_ERROR_SIZE> message{};
    ::curl_easy_reset(easy_.get());  // connections stay
    const std::unique_ptr<curl_slist, FreeList> headers = prepare(request, transfer, message);
    ::curl_multi_add_handle(multi_.get(), easy_.get());
    HttpResult result = perform(request, transfer, message.data());
    ::curl_multi_remove_handle(multi_.get(), easy_.get());
    if (result.end == HttpEnd::kComplete) {  // an answer without a body
      transfer.guarded([&] { return transfer.give_head(); });
      if (transfer.unwanted) result.end = HttpEnd::kStopped;
    }
    if (transfer.failure) std::rethrow_exception(transfer.failure);
    curl_off_t seconds = 0;
    ::curl_easy_getinfo(easy_.get(), CURLINFO_RETRY_AFTER, &seconds);
    result.retry_after = std::chrono::seconds(seconds);
    return result;
  }

 private:
  template <typename Value>
  void set(CURLoption option, Value value) {
    ::curl_easy_setopt(easy_.get(), option, value);
  }

  std::unique_ptr<curl_slist, FreeList> prepare(const HttpRequest& request, Transfer& transfer,
                                                std::array<char, CURL_ERROR_SIZE>& message) {
    set(CURLOPT_URL, request.url.c_str());
    set(CURLOPT_USERAGENT, user_agent_.c_str());
    set(CURLOPT_ERRORBUFFER, message.data());
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_FRESH_CONNECT, request.new_connection ? 1L : 0L);
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_REDIR_PROTOCOLS_STR, request.url.starts_with("https:") ? "https" : "http,https");
    set(CURLOPT_FOLLOWLOCATION, 1L);
    set(CURLOPT_MAXREDIRS, static_cast<long>(request.max_redirects));
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.connect_timeout.count()));
    set(CURLOPT_BUFFERSIZE, 256L << 10);
    set(CURLOPT_HEADERFUNCTION, &on_header_line);
    set(CURLOPT_HEADERDATA, &transfer);
    set(CURLOPT_WRITEFUNCTION, &on_body);
    set(CURLOPT_WRITEDATA, &transfer);
    // A range of what is compressed on the way would be no range of the file.
    curl_slist* lines = ::curl_slist_append(nullptr, "Accept-Encoding: identity");
    if (request.range_begin > 0) {
      const std::string range = fmt::format("Range: bytes={}-", request.range_begin);
      lines = ::curl_slist_append(lines, range.c_str());
      if (!request.if_range.empty()) {
        lines = ::curl_slist_append(lines, ("If-Range: " + request.if_range).c_str());
      }
    }
    set(CURLOPT_HTTPHEADER, lines);
    return std::unique_ptr<curl_slist, FreeList>(lines);
  }

  HttpResult perform(const HttpRequest& request, Transfer& transfer, const char* message) {
    auto window_begin = Clock::now();
    auto patience = request.connect_timeout + request.stall_timeout;  // to the first byte
    for (;;) {
      int running = 0;
      ::curl_multi_perform(multi_.get(), &running);
      int left = 0;
      while (const CURLMsg* done = ::curl_multi_info_read(multi_.get(), &left)) {
        if (done->msg == CURLMSG_DONE) return ended(done->data.result, transfer, message);
      }
      if (!transfer.receiver.keep_going()) return {.end = HttpEnd::kStopped};
      const auto now = Clock::now();
      if (transfer.window_bytes > 0) patience = request.stall_timeout;
      if (now - window_begin > patience) {
        if (transfer.window_bytes < request.min_bytes) {
          return {.end = HttpEnd::kBroken,
                  .why = fmt::format("{} bytes in {:.1f} s: the connection stalled",
                                     transfer.window_bytes,
                                     std::chrono::duration<double>(now - window_begin).count())};
        }
        window_begin = now;
        transfer.window_bytes = 0;
      }
      ::curl_multi_poll(multi_.get(), nullptr, 0, kPollMs, nullptr);
    }
  }

  static HttpResult ended(CURLcode code, const Transfer& transfer, const char* message) {
    if (code == CURLE_OK) return {};
    if (transfer.unwanted || transfer.failure) return {.end = HttpEnd::kStopped};
    const char* text = *message != '\0' ? message : ::curl_easy_strerror(code);
    return {.end = would_fail_again(code, text) ? HttpEnd::kImpossible : HttpEnd::kBroken,
            .why = std::string(trimmed(text))};
  }

  std::string user_agent_;
  std::unique_ptr<CURL, FreeEasy> easy_;
  std::unique_ptr<CURLM, FreeMulti> multi_;
};

class OpensslSha256 final : public Sha256 {
 public:
  OpensslSha256() : context_(::EVP_MD_CTX_new()) {
    if (!context_ || ::EVP_DigestInit_ex(context_.get(), ::EVP_sha256(), nullptr) != 1) {
      throw OutOfMemoryError("no memory for a checksum");
    }
  }
  void update(std::span<const std::byte> bytes) override {
    ::EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
  }
  std::string finish() override {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    ::EVP_DigestFinal_ex(context_.get(), digest.data(), &size);
    std::string digits;
    for (unsigned i = 0; i < size; ++i) digits += fmt::format("{:02x}", digest[i]);
    return digits;
  }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { ::EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

}  // namespace
}  // namespace nanochat

extern "C" {
int nanochat_http_interface() { return nanochat::kHttpModuleInterface; }

nanochat::HttpClient* nanochat_http_client(const char* user_agent) {
  static std::once_flag once;
  std::call_once(once, [] { ::curl_global_init(CURL_GLOBAL_DEFAULT); });
  return std::make_unique<nanochat::CurlClient>(user_agent).release();
}

nanochat::Sha256* nanochat_sha256() {
  return std::make_unique<nanochat::OpensslSha256>().release();
}
}
