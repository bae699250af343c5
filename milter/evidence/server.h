// The observing process's side of the evidence socket: answers the filter's questions on a unix
// socket.
//
//     C: get client=192.0.2.7:40112 after=0 …\n                (question.h)
//     S: trace segmilter/1 via=kernel …\n      or      none no-session\n
//     C: talk client=192.0.2.7:40112 …\n
//     S: talk early,split\n                    or      talk -\n     or      none no-session\n
//
// Each connection carries one question and is then closed. At most kMaxConnections are open, and a
// connection that stays silent for kPatience is closed, so a process that can reach the socket
// cannot block the observer. Runs in the thread of the given loop.
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "milter/config/config.h"
#include "milter/evidence/table.h"
#include "milter/net/acceptor.h"
#include "milter/net/event.h"
#include "milter/net/fd.h"
#include "milter/net/unix_socket.h"

namespace evidence {

// Brings everything that was seen of this client into the table. Returns None if that is complete,
// and otherwise the reason for which the question cannot be answered.
using Look = std::function<classifier::Reason(const net::Endpoint& client)>;

// Returns the answer to one question, without its line end. `look` is called before the table is
// searched; it may be empty.
std::string answer(const Table& table, std::string_view question, const Look& look = {});

class Server {
 public:
  // Above the default of filter.max_in_flight (500): the filter asks one question at a time for
  // each message it judges. A connection beyond the limit is closed, and its message is
  // `unobserved`, reason `error`. Chosen, not measured; a connection takes a descriptor and a few
  // kilobytes.
  static constexpr std::size_t kMaxConnections = 512;
  // Far above the default of filter.evidence_timeout (200 ms): a filter that still waits is served.
  static constexpr std::chrono::seconds kPatience{5};
  // As many as kMaxConnections, so that all questions of a busy moment can wait to be accepted. If
  // the backlog is full, a filter's connect() waits within its time limit.
  static constexpr int kBacklog = 512;

  // Binds the socket with the configured mode. Replaces a socket file that no process serves any
  // more. Throws std::system_error, with EADDRINUSE if another process listens at the path.
  // Requires: `base` and `table` outlive the server.
  Server(event_base* base, const config::Evidence& settings, const Table& table, Look look = {});
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // True if questions no longer reach this server, because the path is gone or leads to another
  // socket.
  bool lost() const { return acceptor_ && !path_.intact(); }
  // Continues with this socket, which listens at the configured path. Throws std::bad_alloc.
  void serve_at(net::Fd listener);
  // Stops taking questions, so that another process can bind the path.
  void close();

 private:
  struct Connection {
    Server* server;
    net::BufferEvent stream;
    std::list<Connection>::iterator self;
  };

  void accept(net::Fd fd);
  static void on_read(bufferevent* stream, void* context);
  static void on_written(bufferevent* stream, void* context);
  static void on_event(bufferevent* stream, short what, void* context);
  void drop(Connection& connection);

  event_base* base_;
  const Table& table_;
  const Look look_;
  const std::string path_text_;
  net::BoundPath path_;
  std::unique_ptr<net::Acceptor> acceptor_;  // null: closed
  std::list<Connection> connections_;
};

}  // namespace evidence
