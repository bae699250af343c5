// Requests as they come to the desk: any bytes in any pieces, over a unix socket instead of TCP.
// Input: the size of the pieces, then the bytes. What must hold: each answer is HTTP with one of
// the expected statuses and the security headers, and the page is sent only if it was requested by
// one of the desk's names.
#include <event2/event.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <csignal>
#include <optional>
#include <string>

#include "milter/desk/server.h"
#include "milter/net/event.h"
#include "milter/net/fd.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

using fuzz::require;

config::Desk named_x() {
  config::Desk config;
  config.hosts = {"x"};
  return config;
}

class Bed {
 public:
  Bed() {
    (void)std::signal(SIGPIPE, SIG_IGN);  // as the desk does
    require(listener_ && base_);
    const sockaddr_un any{.sun_family = AF_UNIX, .sun_path = {}};  // the kernel chooses a name
    const auto* address = reinterpret_cast<const sockaddr*>(&any);
    require(bind(listener_.get(), address, sizeof any.sun_family) == 0);
    require(listen(listener_.get(), 16) == 0);
    size_ = sizeof name_;
    require(getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&name_), &size_) == 0);
    server_.emplace(base_.get(), std::vector<int>{listener_.get()}, desk::Guard(named_x()),
                    [this](const desk::Request& request) { return make(request); });
  }

  std::string answers(std::string_view request, std::size_t piece) {
    made_ = 0;
    const net::Fd client(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    require(connect(client.get(), reinterpret_cast<const sockaddr*>(&name_), size_) == 0);
    std::string got;
    while (!request.empty()) {
      const auto some = request.substr(0, piece);
      request.remove_prefix(some.size());
      if (send(client.get(), some.data(), some.size(), MSG_NOSIGNAL) < 0) break;
      turn(client.get(), got);
    }
    shutdown(client.get(), SHUT_WR);
    for (int i = 0; i < 20; ++i) turn(client.get(), got);
    return got;
  }
  unsigned made() const { return made_; }

  void rest() {
    for (int i = 0; i < 5; ++i) event_base_loop(base_.get(), EVLOOP_NONBLOCK);
  }

 private:
  std::optional<desk::Response> make(const desk::Request& request) {
    require(request.path.starts_with('/'));
    for (const auto& pair : request.query) require(!pair.value.empty());
    if (request.path == "/slow" && !request.is_last_call) return std::nullopt;
    if (request.path != "/metrics") return desk::Response{.code = 404, .body = "none\n"};
    ++made_;
    return desk::Response{.type = "text/plain", .body = "the page\n"};
  }

  void turn(int client, std::string& got) {
    event_base_loop(base_.get(), EVLOOP_NONBLOCK);
    char bytes[4096];
    for (ssize_t size = 0; (size = recv(client, bytes, sizeof bytes, 0)) > 0;) {
      got.append(bytes, static_cast<std::size_t>(size));
    }
  }

  const net::Fd listener_{socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  const net::EventBase base_{event_base_new()};
  std::optional<desk::Server> server_;
  sockaddr_un name_{};
  socklen_t size_ = 0;
  unsigned made_ = 0;
};

// Whether this is an expected answer, such as "HTTP/1.1 200 OK". libevent repeats the version of
// the request.
bool meant(std::string_view answer) {
  if (!answer.starts_with("HTTP/")) return false;
  const auto status = answer.substr(answer.find(' ') + 1, 3);
  for (const auto* one :
       {"100", "200", "400", "403", "404", "405", "413", "417", "421", "501", "503"}) {
    if (status == one) return true;
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Bed bed;
  fuzz::Input input(data, size);
  const std::size_t piece = 1 + std::size_t{input.byte()} * input.byte();
  const auto request = input.take(std::min<std::size_t>(size, 64 * piece));
  const auto got = bed.answers(request, piece);
  bed.rest();
  // In a path %6d is an m.
  if (bed.made() != 0 && request.find('%') == request.npos) {
    require(request.find("/metrics") != request.npos);
  }
  require(got.empty() || meant(got));
  const bool is_answer = !got.empty() && got.find(" 100 ") == got.npos;
  if (is_answer) require(got.find(desk::kSecurityHeaders) != got.npos);
  return 0;
}
