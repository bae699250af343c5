// What a child that runs a libevent loop is told: by the supervisor on the control line or, where
// it runs alone, by signals (TERM and INT drain, HUP reads the file again). One thread, the loop's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "milter/config/config.h"
#include "milter/net/event.h"

namespace supervisor {

class Orders {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // Finish what is begun and end; asked twice: at once.
    virtual void drain() = 0;
    // Whether all parts of the process go on; else the supervisor's question is not answered.
    virtual bool alive() { return true; }
    // A configuration that was read without an error; what needs a restart has been warned of.
    virtual void reloaded(std::shared_ptr<const config::Config> config) { (void)config; }
    // The supervisor is gone; drain() follows.
    virtual void abandoned() {}
    // Another program takes over what this process inherited: let go of it; drain() follows.
    virtual void hand_over() {}
  };

  // `control_fd`: -1 without a supervisor. `running`: what the process was started with. Requires:
  // `base` and `listener` outlive this.
  Orders(event_base* base, int control_fd, std::string config_file,
         std::shared_ptr<const config::Config> running, Listener& listener);

  // Tells the supervisor that the process serves.
  void ready() const;

 private:
  void add(int fd, short what, event_callback_fn callback);
  template <void (Orders::*method)()>
  static void sealed(void* self);
  void on_control();
  void on_hup();
  void reload(const std::string& text);

  event_base* base_;
  const int control_fd_;
  const std::string config_file_;
  std::shared_ptr<const config::Config> running_;
  Listener& listener_;
  std::vector<net::Event> events_;  // the control line's is the last
  bool handed_over_ = false;
};

}  // namespace supervisor
