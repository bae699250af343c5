// Pages over HTTP: GET and HEAD, of the paths that it is given; anything else is refused. A
// request's head has at most kMostHeader bytes and no body, and a connection that is silent for
// kPatience is closed. libevent has no limit of connections; where the process has no descriptor
// for one more, clients wait and nothing spins (limit_connections). One thread, the loop's.
#pragma once

#include <event2/http.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace desk {

struct HttpDeleter {
  void operator()(evhttp* http) const { evhttp_free(http); }
};

// Leaves this process room for about `most` descriptors more than it has.
void limit_connections(unsigned most);

class Server {
 public:
  static constexpr std::size_t kMostHeader = 8192;
  static constexpr std::chrono::seconds kPatience{10};

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
  static void answer(evhttp_request* request, void* self);
  void answer(evhttp_request* request) const;
  static void reply(evhttp_request* request, int code, const std::string& type,
                    const std::string& body);

  std::vector<Page> pages_;
  std::unique_ptr<evhttp, HttpDeleter> http_;
};

}  // namespace desk
