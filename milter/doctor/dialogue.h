// An SMTP client for looking: commands and replies with a limit on every wait. It has no way to
// send a message.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "milter/net/address.h"
#include "milter/net/fd.h"

namespace doctor {

// RFC 5321, 4.2.1: "250-…" lines and a last "250 …".
struct Reply {
  enum class End { Reply, Closed, TimedOut, Malformed };
  End end = End::Reply;
  int code = 0;      // of a reply
  std::string text;  // its lines, joined by blanks; else what did come
  bool is(int hundreds) const { return end == End::Reply && code / 100 == hundreds; }
  // "250 ok", "no answer in 20 s", "the connection was closed".
  std::string print() const;
};

// Takes one reply from the front of `input`; nullopt: it is not whole yet. A reply is at most
// kMaxReply bytes long.
inline constexpr std::size_t kMaxReply = 16 * 1024;
std::optional<Reply> take_reply(std::string& input);

class Dialogue {
 public:
  static constexpr std::chrono::seconds kPatience{20};  // for one reply, and to connect

  // `as_user`: 0, or the user whose the socket is to be, where we are root: firewalls may let only
  // segmilter's own user speak to Postfix's upstream port. What failed is in error().
  // `from`: an address of this machine to connect from; nothing: the kernel's choice.
  explicit Dialogue(const net::Endpoint& server, unsigned as_user = 0,
                    const std::optional<net::Endpoint>& from = std::nullopt);
  // As a client of another machine, which takes root (net/connect_as.h). `server` is on loopback.
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
