#include "milter/supervisor/orders.h"

#include <csignal>
#include <utility>

#include "milter/config/load.h"
#include "milter/log/log.h"
#include "milter/supervisor/control.h"

namespace supervisor {

Orders::Orders(event_base* base, int control_fd, std::string config_file,
               std::shared_ptr<const config::Config> running, Listener& listener)
    : base_(base),
      control_fd_(control_fd),
      config_file_(std::move(config_file)),
      running_(std::move(running)),
      listener_(listener) {
  const auto drain = [](evutil_socket_t, short, void* self) {
    static_cast<Orders*>(self)->listener_.drain();
  };
  add(SIGTERM, EV_SIGNAL, drain);
  add(SIGINT, EV_SIGNAL, drain);
  if (control_fd_ >= 0) {
    add(control_fd_, EV_READ,
        [](evutil_socket_t, short, void* self) { sealed<&Orders::on_control>(self); });
  } else {
    add(SIGHUP, EV_SIGNAL,
        [](evutil_socket_t, short, void* self) { sealed<&Orders::on_hup>(self); });
  }
}

// An order that could not be followed, for lack of memory, is no reason to end the process.
template <void (Orders::*method)()>
void Orders::sealed(void* self) {
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
      reload(message->text);
      break;
    case Kind::Gone:
      event_del(events_.back().get());  // its end of file would come again and again
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
  try {
    reload(config::read_file(config_file_));
  } catch (const config::ConfigError& error) {
    logging::error(std::string("reload refused, the old configuration stays: ") + error.what());
  }
}

void Orders::reload(const std::string& text) {
  try {
    auto loaded = std::make_shared<const config::Config>(config::parse(text, config_file_));
    for (const auto& key : config::needs_restart(*running_, *loaded)) {
      logging::warning(key + " has changed: it takes effect at the next start");
    }
    running_ = loaded;
    listener_.reloaded(std::move(loaded));
  } catch (const config::ConfigError& error) {
    logging::error(std::string("reload refused, the old configuration stays: ") + error.what());
  }
}

}  // namespace supervisor
