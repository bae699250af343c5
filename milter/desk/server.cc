#include "milter/desk/server.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <string_view>
#include <utility>
#include <variant>

#include "milter/desk/query.h"

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

// Each answer begins with one line that is added to the connection's buffer at once, "HTTP/1.1 200
// OK". The headers that every answer has follow it here, because libevent answers some requests (a
// method that is not allowed, a body, no HTTP at all) without asking us. 100 Continue is no answer.
void add_security_headers(evbuffer* buffer, const evbuffer_cb_info* info, void*) {
  constexpr std::string_view kBegin = "HTTP/";  // libevent repeats the version of the request
  constexpr std::size_t kLongest = 128;
  char added[kLongest];
  if (info->n_added < kBegin.size() || info->n_added > sizeof added) return;
  evbuffer_ptr place;
  const auto before = evbuffer_get_length(buffer) - info->n_added;
  if (evbuffer_ptr_set(buffer, &place, before, EVBUFFER_PTR_SET) < 0) return;
  if (evbuffer_copyout_from(buffer, &place, added, info->n_added) < 0) return;
  const std::string_view line(added, info->n_added);
  if (!line.starts_with(kBegin) || !line.ends_with("\r\n") || line.ends_with("\r\n\r\n")) return;
  evbuffer_add(buffer, kSecurityHeaders.data(), kSecurityHeaders.size());
}

bufferevent* make_connection(event_base* base, void*) {
  auto* connection = bufferevent_socket_new(base, -1, 0);
  if (connection != nullptr) {
    evbuffer_add_cb(bufferevent_get_output(connection), add_security_headers, nullptr);
  }
  return connection;
}

const char* field(evhttp_request* http, const char* name) {
  const char* value = evhttp_find_header(evhttp_request_get_input_headers(http), name);
  return value == nullptr ? "" : value;
}

const char* reason(int code) {
  switch (code) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 421:
      return "Misdirected Request";
    case 503:
      return "Service Unavailable";
    default:
      return "Internal Server Error";
  }
}

Response refusal(int code, std::string text) {
  return {.code = code, .type = kText, .body = std::move(text) + "\n"};
}

// Returns what is asked for, or the reason why the request is refused.
std::variant<Request, Response> read_request(evhttp_request* http) {
  const auto* uri = evhttp_request_get_evhttp_uri(http);
  const char* path = evhttp_uri_get_path(uri);
  const char* query = evhttp_uri_get_query(uri);
  const auto decoded = percent_decoded(path == nullptr ? "" : path);
  if (!decoded || !decoded->starts_with('/')) return refusal(400, "the path cannot be read");
  auto pairs = parse_query(query == nullptr ? "" : query);
  if (const auto* error = std::get_if<QueryError>(&pairs)) return refusal(400, error->message);
  return Request{.path = *decoded, .query = std::get<history::Pairs>(std::move(pairs))};
}

}  // namespace

void limit_connections(unsigned most) {
  const net::Fd next(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0));
  rlimit limit{};
  if (!next || getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, static_cast<rlim_t>(next.get()) + most);
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

Server::Server(event_base* base, const std::vector<int>& listeners, Guard guard, Handler handler)
    : base_(base),
      guard_(std::move(guard)),
      handler_(std::move(handler)),
      http_(evhttp_new(base)),
      connections_(kMostKept) {
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
  evhttp_set_bevcb(http_.get(), make_connection, nullptr);
  evhttp_set_gencb(http_.get(), answer, this);
  for (const int listener : listeners) listen(listener);
}

void Server::listen(int fd) {
  // libevent closes the descriptor that it is given, so it gets a copy.
  net::Fd own(net::check(fcntl(fd, F_DUPFD_CLOEXEC, 0), "dup a listener of the desk"));
  constexpr unsigned kFlags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC;
  constexpr int kListensAlready = 0;
  auto* listener = evconnlistener_new(base_, nullptr, nullptr, kFlags, kListensAlready, own.get());
  if (listener == nullptr) throw std::bad_alloc();
  own.release();
  if (evhttp_bind_listener(http_.get(), listener) == nullptr) {
    evconnlistener_free(listener);
    throw std::bad_alloc();
  }
  evconnlistener_set_error_cb(listener, rest);
  connections_.belong_to(fd);
}

Server::~Server() = default;

// If there is not enough memory now, the next look a second later may have it.
void Server::look_after() try {
  connections_.look_after(Connections::Clock::now());
  ask_again();
} catch (const std::bad_alloc&) {
}

void Server::answer(evhttp_request* http, void* self) {
  try {
    static_cast<Server*>(self)->answer(http);
  } catch (const std::exception&) {
    evhttp_send_error(http, HTTP_INTERNAL, nullptr);
  }
}

void Server::answer(evhttp_request* http) {
  if (!guard_.accepts_host(field(http, "Host"))) {
    reply(http, refusal(421, "The desk does not have this name; desk.hosts lists more names."));
    return;
  }
  if (comes_from_another_site(field(http, "Sec-Fetch-Site"))) {
    reply(http, refusal(403, "A page of another site asked for this; type the address instead."));
    return;
  }
  const auto read = read_request(http);
  if (const auto* refused = std::get_if<Response>(&read)) {
    reply(http, *refused);
    return;
  }
  const auto& request = std::get<Request>(read);
  if (try_to_answer(http, request)) return;
  // If the client leaves meanwhile, libevent keeps the request until it is answered.
  waiting_.push_back({http, request, std::chrono::steady_clock::now()});
}

bool Server::try_to_answer(evhttp_request* http, const Request& request) {
  try {
    const auto response = handler_(request);
    if (response) reply(http, *response);
    return response.has_value();
  } catch (const std::exception&) {
    reply(http, refusal(HTTP_INTERNAL, "The page could not be made."));
    return true;
  }
}

void Server::ask_again() {
  const auto now = std::chrono::steady_clock::now();
  for (auto one = waiting_.begin(); one != waiting_.end();) {
    one->request.is_last_call = now - one->since >= kWait;
    one = try_to_answer(one->http, one->request) ? waiting_.erase(one) : std::next(one);
  }
}

void Server::reply(evhttp_request* http, const Response& response) {
  if (auto* connection = evhttp_request_get_connection(http)) {
    connections_.answered(bufferevent_getfd(evhttp_connection_get_bufferevent(connection)));
  }
  auto* headers = evhttp_request_get_output_headers(http);
  evhttp_add_header(headers, "Content-Type", response.type.c_str());
  evhttp_add_header(headers, "Content-Length", std::to_string(response.body.size()).c_str());
  if (!response.file.empty()) {
    const auto saved = "attachment; filename=\"" + response.file + "\"";
    evhttp_add_header(headers, "Content-Disposition", saved.c_str());
  }
  if (response.retry_after != 0) {
    evhttp_add_header(headers, "Retry-After", std::to_string(response.retry_after).c_str());
  }
  const bool head = evhttp_request_get_command(http) == EVHTTP_REQ_HEAD;
  if (!head) {
    evbuffer_add(evhttp_request_get_output_buffer(http), response.body.data(),
                 response.body.size());
  }
  evhttp_send_reply(http, response.code, reason(response.code), nullptr);
}

}  // namespace desk
