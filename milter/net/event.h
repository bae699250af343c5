// Owners for libevent's objects, with one deleter for each type. Callbacks passed to event_new are
// one line: cast and call. Not thread-safe: each object belongs to the thread of its loop.
#pragma once

#include <event2/bufferevent.h>
#include <event2/event.h>

#include <memory>
#include <new>

namespace net {

struct EventDeleter {
  void operator()(event_base* base) const { event_base_free(base); }
  void operator()(event_config* config) const { event_config_free(config); }
  void operator()(event* ev) const { event_free(ev); }
  void operator()(bufferevent* ev) const { bufferevent_free(ev); }
};

using EventBase = std::unique_ptr<event_base, EventDeleter>;
using EventConfig = std::unique_ptr<event_config, EventDeleter>;
using Event = std::unique_ptr<event, EventDeleter>;
using BufferEvent = std::unique_ptr<bufferevent, EventDeleter>;

// For set-up. Both functions throw std::bad_alloc if libevent cannot allocate memory.
inline EventBase make_loop() {
  EventBase base(event_base_new());
  if (!base) throw std::bad_alloc();
  return base;
}
// The returned event is already added to the loop. `after` is the delay of a timer, or null.
inline Event make_event(event_base* base, evutil_socket_t fd, int what, event_callback_fn callback,
                        void* context, const timeval* after = nullptr) {
  Event ev(event_new(base, fd, static_cast<short>(what), callback, context));
  if (!ev || event_add(ev.get(), after) < 0) throw std::bad_alloc();
  return ev;
}

}  // namespace net
