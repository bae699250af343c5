// What a session and its watch use from their surroundings: the loop that runs them, its time,
// settings and buffers, and what all workers of the process share. A worker is such a host
// (worker.h). Tests have another one, with a clock that they set.
//
// What a session needs at every read is plain state of the host. Only the few things that a host
// does are virtual functions.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "milter/config/config.h"
#include "milter/evidence/table.h"
#include "milter/log/log.h"
#include "milter/net/event.h"
#include "milter/net/transparent_sockets.h"
#include "milter/proxy/admission.h"
#include "milter/proxy/counters.h"

namespace proxy {

using std::chrono::steady_clock;

class Session;

// What all workers of a process share.
struct Shared {
  std::atomic<std::shared_ptr<const config::Config>> config;
  evidence::Table& table;
  Counters& counters;
  Admission admission;
  logging::RateLimit refused_header_word{};
  logging::RateLimit unanswered_word{};
  logging::RateLimit transparent_word{};
};

// Belongs to one thread.
class Host {
 public:
  // `sources`: for the transparent sockets (net/transparent_sockets.h), borrowed. Requires: `shared`
  // outlives the host, and the host outlives its sessions.
  Host(Shared& shared, net::EventBase base, std::span<const int> sources = {})
      : shared_(shared),
        base_(std::move(base)),
        config_(shared.config.load()),
        scratch_(config_->proxy.buffer_bytes),
        transparent_sockets_(sources) {}
  virtual ~Host() = default;
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  Shared& shared() { return shared_; }
  event_base* base() const { return base_.get(); }
  // Stays the same during one turn of the loop.
  const config::Config& config() const { return *config_; }
  // When the event came that is handled now.
  steady_clock::time_point now() const { return now_; }
  // For the bytes of one read. The next session overwrites it.
  std::span<char> scratch() { return scratch_; }
  // For connections to Postfix from the clients' addresses.
  net::TransparentSockets& transparent_sockets() { return transparent_sockets_; }
  // No more clients are accepted; sessions between two transactions are asked to leave.
  bool draining() const { return draining_; }
  // The time for draining is over.
  bool closing() const { return closing_; }
  // Events that found the ring full, so far; the number wraps.
  std::uint32_t losses() const { return losses_; }

  // The time at this moment, which is later than now().
  virtual steady_clock::time_point clock() const = 0;
  // Whether the kernel filter sees the segments of new sessions.
  virtual bool kernel_capture() const = 0;
  // Delivers what the kernel filter saw to the sessions (Session::segment). To be called before
  // bytes are observed: the segments in which they came are in the ring by then.
  virtual void drain_ring() = 0;
  // Whether a new session, whose client has descriptor `fd`, has to be relayed without an observer
  // because descriptors, time or memory are short. If so, counts it.
  virtual bool too_busy_to_observe(int fd) = 0;
  // One of the session's events has come: calls `handler`. If it throws, the session is cut. A
  // session that has Ended is destroyed.
  virtual void dispatch(Session& session, void (Session::*handler)(short), short what) = 0;

 protected:
  Shared& shared_;
  net::EventBase base_;
  std::shared_ptr<const config::Config> config_;
  std::vector<char> scratch_;  // proxy.buffer_bytes long
  net::TransparentSockets transparent_sockets_;
  steady_clock::time_point now_{};
  bool draining_ = false;
  bool closing_ = false;
  std::uint32_t losses_ = 0;
};

}  // namespace proxy
