// Answers the filter's questions on a unix socket: the observing process's side.
//
//     C: get client=192.0.2.7:40112 after=0 …\n                (question.h)
//     S: trace segmilter/1 via=kernel …\n      or      none no-session\n
//
// One question a connection, then it is closed. At most kMaxConnections are open, and one that says
// nothing for kPatience is closed: whoever can reach the socket cannot hold the observer. Runs in
// the thread of the loop it is given.
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <string>
#include <string_view>

#include "milter/config/config.h"
#include "milter/evidence/table.h"
#include "milter/net/event.h"
#include "milter/net/fd.h"
#include "milter/net/unix_socket.h"

namespace evidence {

// Brings what was seen of this client into the table. None: all of it is there; else the reason for
// which nothing may be answered.
using Look = std::function<classifier::Reason(const net::Endpoint& client)>;

// The answer to one question, without its line end. `look`: called before the table is; may be
// empty.
std::string answer(const Table& table, std::string_view question, const Look& look = {});

class Server {
 public:
  static constexpr std::size_t kMaxConnections = 512;
  static constexpr std::chrono::seconds kPatience{5};
  static constexpr int kBacklog = 512;

  // Binds the socket with the configured mode, in the place of one that nobody serves any more.
  // Throws std::system_error, with EADDRINUSE where another process listens at the path. Requires:
  // `base` and `table` outlive the server.
  Server(event_base* base, const config::Evidence& settings, const Table& table, Look look = {});
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Whether questions no longer reach this server, because its path is gone or is another's.
  bool lost() const { return listener_ && !path_.intact(); }
  // Goes on with this socket, which listens at the configured path. Throws std::bad_alloc.
  void serve_at(net::Fd listener);
  // Takes no more questions: the path is to be another process's.
  void close();

 private:
  struct Connection {
    Server* server;
    net::BufferEvent stream;
    std::list<Connection>::iterator self;
  };

  void accept();
  void pause();
  void resume();
  static void on_read(bufferevent* stream, void* context);
  static void on_written(bufferevent* stream, void* context);
  static void on_event(bufferevent* stream, short what, void* context);
  void drop(Connection& connection);

  event_base* base_;
  const Table& table_;
  const Look look_;
  const std::string path_text_;
  net::BoundPath path_;
  net::Fd listener_;
  net::Event readable_;
  net::Event again_;  // ends a pause
  std::list<Connection> connections_;
};

}  // namespace evidence
