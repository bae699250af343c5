// Accepts the connections of one listening socket in a libevent loop. While no descriptor or memory
// is free it pauses, because the listener stays readable and the loop would otherwise do nothing
// but try again.
//
// Belongs to the thread of its loop.
#pragma once

#include <functional>

#include "milter/net/event.h"
#include "milter/net/fd.h"

namespace net {

class Acceptor {
 public:
  // `accepted` gets each connection, non-blocking and close-on-exec; one that it does not keep is
  // closed. `pause`: chosen by the caller. Requires: `base` outlives this object.
  Acceptor(event_base* base, Fd listener, timeval pause, std::function<void(Fd)> accepted);
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

 private:
  void accept();
  void pause();
  void resume();

  event_base* base_;
  Fd listener_;
  const timeval pause_;
  const std::function<void(Fd)> accepted_;
  Event readable_;
  Event again_;  // timer that ends a pause
};

}  // namespace net
