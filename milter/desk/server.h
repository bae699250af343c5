// Pages over HTTP: GET and HEAD, of the paths that it is given; anything else is refused. A
// request's head has at most kMostHeader bytes and no body. A connection on which nothing was
// answered for Connections::kPatience is closed, and of more than kMostKept the oldest, so that a
// few clients that ask nothing do not keep others out. libevent has no limit of connections; where
// the process has no descriptor for one more, clients wait and nothing spins (limit_connections).
// One thread, the loop's.
#pragma once

#include <event2/http.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "milter/desk/connections.h"
#include "milter/net/event.h"

namespace desk {

struct HttpDeleter {
  void operator()(evhttp* http) const { evhttp_free(http); }
};

// Leaves this process room for about `most` descriptors more than it has.
void limit_connections(unsigned most);

class Server {
 public:
  static constexpr std::size_t kMostHeader = 8192;
  // So many may come between two looks, once a second, before others wait for a place.
  static constexpr std::size_t kMostConnections = 64;
  static constexpr std::size_t kMostKept = 48;

  // `listeners`: borrowed. Requires: `base` outlives the server. Throws std::system_error,
  // std::bad_alloc.
  Server(event_base* base, const std::vector<int>& listeners);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // `make` is called for each request; what it throws becomes a 500.
  void serve(std::string path, std::string type, std::function<std::string()> make);

 private:
  struct Page {
    std::string path;
    std::string type;
    std::function<std::string()> make;
  };

  void listen(event_base* base, int fd);
  void look_after();
  static void answer(evhttp_request* request, void* self);
  void answer(evhttp_request* request) const;
  static void reply(evhttp_request* request, int code, const std::string& type,
                    const std::string& body);

  std::vector<Page> pages_;
  std::unique_ptr<evhttp, HttpDeleter> http_;
  Connections connections_;
  net::Event tick_;
};

}  // namespace desk
