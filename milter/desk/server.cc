#include "milter/desk/server.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <string_view>

#include "milter/net/fd.h"

namespace desk {
namespace {

// No descriptor is free, and the listener stays readable: without a pause the loop would spin. 100
// ms was chosen, not measured; a client that waits notices no more than that.
void rest(evconnlistener* listener, void*) {
  constexpr timeval kRest{0, 100'000};
  evconnlistener_disable(listener);
  (void)event_base_once(
      evconnlistener_get_base(listener), -1, EV_TIMEOUT,
      [](evutil_socket_t, short, void* full) {
        evconnlistener_enable(static_cast<evconnlistener*>(full));
      },
      listener, &kRest);
}

}  // namespace

void limit_connections(unsigned most) {
  const net::Fd next(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0));
  rlimit limit{};
  if (!next || getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, static_cast<rlim_t>(next.get()) + most);
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

Server::Server(event_base* base, const std::vector<int>& listeners)
    : http_(evhttp_new(base)), connections_(listeners, kMostKept) {
  if (!http_) throw std::bad_alloc();
  constexpr timeval kTick{1, 0};
  tick_ = net::make_event(
      base, -1, EV_PERSIST,
      [](evutil_socket_t, short, void* self) { static_cast<Server*>(self)->look_after(); }, this,
      &kTick);
  evhttp_set_allowed_methods(http_.get(), EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
  evhttp_set_max_headers_size(http_.get(), kMostHeader);
  evhttp_set_max_body_size(http_.get(), 0);
  evhttp_set_timeout(http_.get(), static_cast<int>(Connections::kPatience.count()));
  evhttp_set_default_content_type(http_.get(), nullptr);
  evhttp_set_gencb(http_.get(), answer, this);
  for (const int listener : listeners) listen(base, listener);
}

void Server::listen(event_base* base, int fd) {
  // libevent closes the descriptor that it is given, so it gets a copy.
  net::Fd own(net::check(fcntl(fd, F_DUPFD_CLOEXEC, 0), "dup a listener of the desk"));
  constexpr unsigned kFlags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC;
  constexpr int kListensAlready = 0;
  auto* listener = evconnlistener_new(base, nullptr, nullptr, kFlags, kListensAlready, own.get());
  if (listener == nullptr) throw std::bad_alloc();
  own.release();
  if (evhttp_bind_listener(http_.get(), listener) == nullptr) {
    evconnlistener_free(listener);
    throw std::bad_alloc();
  }
  evconnlistener_set_error_cb(listener, rest);
}

Server::~Server() = default;

// If there is no memory to look, the next look a second later may have some.
void Server::look_after() try {
  connections_.look_after(Connections::Clock::now());
} catch (const std::bad_alloc&) {
}

void Server::serve(std::string path, std::string type, std::function<std::string()> make) {
  pages_.push_back({std::move(path), std::move(type), std::move(make)});
}

void Server::answer(evhttp_request* request, void* self) {
  try {
    static_cast<const Server*>(self)->answer(request);
  } catch (const std::exception&) {
    evhttp_send_error(request, HTTP_INTERNAL, nullptr);
  }
}

void Server::answer(evhttp_request* request) const {
  const char* path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
  const auto page = std::find_if(pages_.begin(), pages_.end(), [path](const Page& one) {
    return path != nullptr && path == one.path;
  });
  if (page != pages_.end()) return reply(request, HTTP_OK, page->type, page->make());
  std::string there = "There are:";
  for (const auto& one : pages_) there += " " + one.path;
  reply(request, HTTP_NOTFOUND, "text/plain; charset=utf-8", there + "\n");
}

void Server::reply(evhttp_request* request, int code, const std::string& type,
                   const std::string& body) {
  auto* headers = evhttp_request_get_output_headers(request);
  evhttp_add_header(headers, "Content-Type", type.c_str());
  evhttp_add_header(headers, "Content-Length", std::to_string(body.size()).c_str());
  const bool head = evhttp_request_get_command(request) == EVHTTP_REQ_HEAD;
  if (!head) {
    evbuffer_add(evhttp_request_get_output_buffer(request), body.data(), body.size());
  }
  evhttp_send_reply(request, code, code == HTTP_OK ? "OK" : "Not Found", nullptr);
}

}  // namespace desk
