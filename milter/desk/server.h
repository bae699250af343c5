// Serves pages over HTTP: GET and HEAD for the paths that it was given; everything else is refused.
// The head of a request has at most kMostHeader bytes, and a body is refused. A connection without
// an answer for Connections::kPatience is closed. Of more than kMostKept connections the oldest is
// closed, so that a few clients that ask nothing do not keep others out. libevent does not limit
// connections: when the process has no descriptor left (limit_connections), clients wait, and the
// loop does not spin. Used by the loop's thread only.
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

// Lowers this process's limit of descriptors to about `most` more than it has open.
void limit_connections(unsigned most);

class Server {
 public:
  // The three limits were chosen, not measured. One Prometheus needs one connection and a few
  // hundred bytes; larger limits only cost memory.
  static constexpr std::size_t kMostHeader = 8192;
  // This many may be open between two looks, which are a second apart. Others wait.
  static constexpr std::size_t kMostConnections = 64;
  static constexpr std::size_t kMostKept = 48;

  // `listeners`: borrowed. Requires: `base` outlives the server. Throws std::system_error,
  // std::bad_alloc.
  Server(event_base* base, const std::vector<int>& listeners);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // `make` is called for each request. An exception in it becomes a 500.
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
