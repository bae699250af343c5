// libevent's objects with owners: one deleter each. The callbacks given to event_new are one line:
// cast and call. Not thread-safe: each object belongs to its loop's thread.
#pragma once

#include <event2/bufferevent.h>
#include <event2/event.h>

#include <memory>

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

}  // namespace net
