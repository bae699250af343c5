// An SMTP client that only tests a server: it sends commands and reads replies, with a limit on
// every wait. It cannot send a message.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "milter/net/address.h"
#include "milter/net/fd.h"

namespace doctor {

// One reply: "250-…" lines and a last "250 …" (RFC 5321, 4.2.1).
struct Reply {
  enum class End { Reply, Closed, TimedOut, Malformed };
  End end = End::Reply;
  int code = 0;      // 0 unless `end` is Reply
  std::string text;  // the reply's lines, joined by spaces; without a reply: the bytes that came
  // True for a reply whose code begins with this digit: is(2) accepts 200 to 299.
  bool is(int hundreds) const { return end == End::Reply && code / 100 == hundreds; }
  // "250 ok", "no answer in 20 s", "the connection was closed".
  std::string print() const;
};

// Removes one reply from the front of `input` and returns it; nullopt: the reply is not complete
// yet. A reply that is still incomplete after kMaxReply bytes is Malformed.
// 16 KB is chosen, not measured: it is 32 reply lines of the largest size (512 bytes, RFC 5321,
// 4.5.3.1.5).
inline constexpr std::size_t kMaxReply = 16 * 1024;
std::optional<Reply> take_reply(std::string& input);

class Dialogue {
 public:
  // The limit for one reply, and for connecting. Chosen, not measured: a server that needs longer
  // is reported as silent.
  static constexpr std::chrono::seconds kPatience{20};

  // Connects. If that fails, connected() is false and error() says why. `as_user` is the user that
  // owns the socket (0: the current user); only root can set it. It is needed because a firewall
  // may allow only segmilter's user to connect to Postfix's upstream port.
  // `from`: an address of this machine to connect from; nothing: the kernel chooses.
  explicit Dialogue(const net::Endpoint& server, unsigned as_user = 0,
                    const std::optional<net::Endpoint>& from = std::nullopt);
  // Connects as a client of another machine, which needs root (net/connect_as.h). `server` is on
  // loopback.
  static Dialogue as_client(const net::Endpoint& client, const net::Endpoint& server);

  bool connected() const { return static_cast<bool>(socket_); }
  const std::string& error() const { return error_; }
  const net::Endpoint& local() const { return local_; }
  const net::Endpoint& server() const { return server_; }

  void send(std::string_view bytes);
  Reply reply();
  Reply command(std::string_view line);  // adds CRLF
  void quit();

 private:
  Dialogue() = default;
  // The connection is begun: waits for it.
  void take(net::Fd socket, int begun);

  net::Endpoint server_;
  net::Endpoint local_;
  net::Fd socket_;
  std::string error_;
  std::string input_;
};

}  // namespace doctor
