// The orders to a child that runs a libevent loop. They come from the supervisor on the control
// line or, if the process runs alone, from signals (TERM and INT drain, HUP reads the file again).
// Runs in the loop's thread only.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "milter/net/event.h"
#include "milter/net/fd.h"
#include "milter/process/running_config.h"
#include "milter/process/start.h"

namespace process {

class Orders {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // Finish the work in progress, then exit. A second call means: exit at once.
    virtual void drain() = 0;
    // True if all parts of the process are working. Otherwise the supervisor's ping is not
    // answered.
    virtual bool alive() { return true; }
    // `config` applies from now on. Settings that need a restart have kept their values.
    virtual void reloaded(std::shared_ptr<const config::Config> config) { (void)config; }
    // The supervisor is gone. A call of drain() follows.
    virtual void abandoned() {}
    // The supervisor has made a new socket at the path that was reported lost.
    virtual void serve_at(net::Fd listener) { (void)listener; }
    // Another program takes over what this process inherited: close it. A call of drain() follows.
    virtual void hand_over() {}
  };

  // Requires: `base` and `listener` outlive this object.
  Orders(event_base* base, const Start& start, Listener& listener);

  // Reports to the supervisor that the process serves.
  void ready() const;
  // Asks the supervisor for a new socket because the path of the old one is gone. Asks at most once
  // every kAskAgain. Does nothing without a supervisor, and after a handover.
  void report_lost_socket(std::chrono::steady_clock::time_point now);
  // Chosen, not measured. Longer would leave more mail unobserved; shorter would repeat the request
  // before the supervisor can have answered it.
  static constexpr std::chrono::seconds kAskAgain{2};

 private:
  void add(int fd, short what, event_callback_fn callback);
  template <void (Orders::*method)()>
  static void guarded(void* self);
  void on_control();
  void on_hup();

  event_base* base_;
  const int control_fd_;
  RunningConfig running_;
  Listener& listener_;
  std::vector<net::Event> events_;  // the last one is the control line's
  bool handed_over_ = false;
  std::chrono::steady_clock::time_point ask_again_;
};

}  // namespace process
