#include "milter/process/orders.h"

#include <csignal>
#include <utility>

#include "milter/log/log.h"
#include "milter/process/control.h"

namespace process {

Orders::Orders(event_base* base, const Start& start, Listener& listener)
    : base_(base),
      control_fd_(start.control_fd),
      running_(start.config, start.config_file, config::Secrets::Leave),
      listener_(listener) {
  const auto drain = [](evutil_socket_t, short, void* self) {
    static_cast<Orders*>(self)->listener_.drain();
  };
  add(SIGTERM, EV_SIGNAL, drain);
  add(SIGINT, EV_SIGNAL, drain);
  if (control_fd_ >= 0) {
    add(control_fd_, EV_READ,
        [](evutil_socket_t, short, void* self) { guarded<&Orders::on_control>(self); });
  } else {
    add(SIGHUP, EV_SIGNAL,
        [](evutil_socket_t, short, void* self) { guarded<&Orders::on_hup>(self); });
  }
}

// If an order cannot be carried out because memory is short, the process continues.
template <void (Orders::*method)()>
void Orders::guarded(void* self) {
  try {
    (static_cast<Orders*>(self)->*method)();
  } catch (const std::exception& error) {
    logging::error(error.what());
  }
}

void Orders::add(int fd, short what, event_callback_fn callback) {
  events_.push_back(net::make_event(base_, fd, what | EV_PERSIST, callback, this));
}

void Orders::ready() const {
  if (control_fd_ >= 0) (void)send_control(control_fd_, {ControlMessage::Kind::Ready, {}});
}

void Orders::report_lost_socket(std::chrono::steady_clock::time_point now) {
  if (control_fd_ < 0 || handed_over_ || now < ask_again_) return;
  ask_again_ = now + kAskAgain;
  (void)send_control(control_fd_, {ControlMessage::Kind::SocketLost, {}});
}

void Orders::on_control() {
  using Kind = ControlMessage::Kind;
  auto message = receive_control(control_fd_);
  if (!message) return;
  switch (message->kind) {
    case Kind::Reload:
      if (running_.reload(message->text)) listener_.reloaded(running_.share());
      break;
    case Kind::Gone:
      // Otherwise the end of file would be reported again and again.
      event_del(events_.back().get());
      if (handed_over_) break;
      listener_.abandoned();
      listener_.drain();
      break;
    case Kind::Drain:
      listener_.drain();
      break;
    case Kind::Handover:
      handed_over_ = true;
      listener_.hand_over();
      listener_.drain();
      (void)send_control(control_fd_, {Kind::HandedOver, {}});
      break;
    case Kind::Socket:
      if (message->socket && !handed_over_) listener_.serve_at(std::move(message->socket));
      break;
    case Kind::Ping:
      if (listener_.alive()) (void)send_control(control_fd_, {Kind::Pong, {}});
      break;
    case Kind::Ready:
    case Kind::Pong:
    case Kind::HandedOver:
    case Kind::SocketLost:
      break;
  }
}

void Orders::on_hup() {
  if (running_.reload_file()) listener_.reloaded(running_.share());
}

}  // namespace process
