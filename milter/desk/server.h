// Serves pages over HTTP. It answers GET and HEAD, for clients that call it by one of its names
// (guard.h); everything else is refused. Each answer has the headers of guard.h, also those that
// libevent makes by itself.
//
// The head of a request has at most kMostHeader bytes, its query kMostQuery, and a body is refused.
// A connection without an answer for Connections::kPatience is closed. Of more than kMostKept
// connections the oldest is closed, so that a few clients that ask nothing do not keep others out.
// libevent does not limit connections: when the process has no descriptor left (limit_connections),
// clients wait, and the loop does not spin. Used by the loop's thread only.
#pragma once

#include <event2/http.h>

#include <chrono>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "milter/desk/connections.h"
#include "milter/desk/guard.h"
#include "milter/desk/request.h"
#include "milter/net/event.h"
#include "milter/net/fd.h"

namespace desk {

struct HttpDeleter {
  void operator()(evhttp* http) const { evhttp_free(http); }
};

// Lowers this process's limit of descriptors to about `most` more than it has open.
void limit_connections(unsigned most);

class Server {
 public:
  // The limits were chosen, not measured. One Prometheus and a few browsers need some connections
  // and a few hundred bytes; larger limits only cost memory.
  static constexpr std::size_t kMostHeader = 8192;
  // This many may be open between two looks, which are a second apart. Others wait.
  static constexpr std::size_t kMostConnections = 64;
  static constexpr std::size_t kMostKept = 48;
  // How long a request waits for an answer that is still being looked up.
  static constexpr std::chrono::milliseconds kWait{3000};

  // `listeners`: borrowed. Requires: `base` outlives the server. Throws std::system_error,
  // std::bad_alloc.
  Server(event_base* base, const std::vector<int>& listeners, Guard guard, Handler handler);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Serves one more listener. Throws as the constructor does.
  void listen(int fd);
  void set_guard(Guard guard) { guard_ = std::move(guard); }
  // Asks again for the answers that were not there yet.
  void ask_again();

 private:
  struct Waiting {
    evhttp_request* http;
    Request request;
    std::chrono::steady_clock::time_point since;
  };

  void look_after();
  static void answer(evhttp_request* http, void* self);
  void answer(evhttp_request* http);
  // True: it was answered.
  bool try_to_answer(evhttp_request* http, const Request& request);
  void reply(evhttp_request* http, const Response& response);

  event_base* base_;
  Guard guard_;
  const Handler handler_;
  std::list<Waiting> waiting_;  // bounded by the connections, which have one request each
  std::unique_ptr<evhttp, HttpDeleter> http_;
  Connections connections_;
  net::Event tick_;
};

}  // namespace desk
