// The policy service's side of its socket. Each smtpd of Postfix that asks keeps a connection and
// sends one request after the other (policy_service/request.h); each is answered with one line and
// an empty one:
//
//     C: request=smtpd_access_policy\nprotocol_state=RCPT\n…\n\n
//     S: action=DUNNO\n\n
//
// At most policy_service.max_connections are open; a further one is closed, and Postfix goes on
// with its default_action. A connection that is silent for policy_service.idle_timeout is closed,
// and so is one that sends anything else than a request.
//
// It runs in a thread of its own with its own loop, because libmilter has the others. The functions
// below are called by the filter's main thread.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "milter/config/config.h"
#include "milter/net/acceptor.h"
#include "milter/net/event.h"
#include "milter/net/fd.h"
#include "milter/net/unix_socket.h"
#include "milter/policy_service/counters.h"
#include "milter/policy_service/request.h"

namespace policy_service {

// Postfix opens one connection for each smtpd. As kMilterBacklog (filter/socket.h), and chosen for
// the same reason.
inline constexpr int kBacklog = 512;

// A listening socket at `socket`: with `mode`, if it is a unix socket. Throws std::system_error
// that names the setting, also for the name of a host, which is not looked up.
net::Fd listen_at(const config::MilterSocket& socket, unsigned mode);

class Server {
 public:
  // Answers one request: the text after "action=". Called in the server's thread. May throw; the
  // answer is then DUNNO.
  using Answer = std::function<std::string(const Request&)>;
  // Called in the server's thread; the settings that are read are the limits.
  using Settings = std::function<std::shared_ptr<const config::Config>()>;

  // `listener`: from listen_at(). `counters` must outlive this object.
  Server(net::Fd listener, const config::MilterSocket& socket, Settings settings, Answer answer,
         Counters& counters);
  // Closes all connections.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Whether Postfix can no longer find the socket, because its path was removed or replaced.
  bool lost() const { return !hidden_ && !path_.intact(); }
  // Continues with this socket, which listens at the same path. Open connections stay.
  void serve_at(net::Fd listener);
  // From here on new clients find no socket, and its place is free for the next filter. Open
  // connections stay.
  void hide();

 private:
  struct Connection {
    Server* server;
    net::BufferEvent stream;
    std::list<Connection>::iterator self;
  };

  void run();
  void take_orders();
  void accept(net::Fd fd);
  bool answer(Connection& connection, const Request& request);
  static void on_read(bufferevent* stream, void* context);
  static void on_written(bufferevent* stream, void* context);
  static void on_event(bufferevent* stream, short what, void* context);
  void drop(Connection& connection);
  void listen_with(net::Fd listener);
  void order(net::Fd listener, bool stop);

  const Settings settings_;
  const Answer answer_;
  Counters& counters_;
  const std::string path_text_;  // of a unix socket; else empty

  // The main thread's.
  net::BoundPath path_;
  net::Fd listener_;  // another descriptor of the socket, to end it
  bool hidden_ = false;

  // Orders to the server's thread: another listener, or the end.
  std::mutex mutex_;
  net::Fd next_listener_;
  bool stop_ = false;
  net::Fd wake_;

  // The server's thread's.
  net::EventBase base_;
  net::Event orders_;
  std::unique_ptr<net::Acceptor> acceptor_;
  std::list<Connection> connections_;

  std::thread thread_;  // the last member: it uses the others
};

}  // namespace policy_service
