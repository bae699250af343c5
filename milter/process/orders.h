// What a child that runs a libevent loop is told: by the supervisor on the control line or, where
// it runs alone, by signals (TERM and INT drain, HUP reads the file again). One thread, the loop's.
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
    // Finish what is begun and end; asked twice: at once.
    virtual void drain() = 0;
    // Whether all parts of the process go on; else the supervisor's question is not answered.
    virtual bool alive() { return true; }
    // What the process runs with from here on; settings that need a restart are as they were.
    virtual void reloaded(std::shared_ptr<const config::Config> config) { (void)config; }
    // The supervisor is gone; drain() follows.
    virtual void abandoned() {}
    // The supervisor has made another socket at the path of the one that was reported lost.
    virtual void serve_at(net::Fd listener) { (void)listener; }
    // Another program takes over what this process inherited: let go of it; drain() follows.
    virtual void hand_over() {}
  };

  // Requires: `base` and `listener` outlive this.
  Orders(event_base* base, const Start& start, Listener& listener);

  // Tells the supervisor that the process serves.
  void ready() const;
  // Asks the supervisor for another socket in the place of the one whose path is lost; not more
  // often than each kAskAgain. Without a supervisor, and once handed over, it does nothing.
  void report_lost_socket(std::chrono::steady_clock::time_point now);
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
  std::vector<net::Event> events_;  // the control line's is the last
  bool handed_over_ = false;
  std::chrono::steady_clock::time_point ask_again_;
};

}  // namespace process
