#include "milter/filter/service.h"

#include <bit>
#include <string>

#include "milter/evidence/client.h"
#include "milter/log/log.h"

namespace filter {
namespace {

// One place among those that may ask; none when the limit is reached.
class Place {
 public:
  Place(std::atomic<unsigned>& taken, unsigned limit) : taken_(taken), ok_(++taken_ <= limit) {}
  ~Place() { --taken_; }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  explicit operator bool() const { return ok_; }

 private:
  std::atomic<unsigned>& taken_;
  bool ok_;
};

}  // namespace

std::shared_ptr<const config::Config> Service::settings() const {
  std::lock_guard lock(mutex_);
  return settings_;
}

void Service::replace(std::shared_ptr<const config::Config> settings) {
  std::lock_guard lock(mutex_);
  settings_.swap(settings);
}

void Service::session_begins() {
  std::lock_guard lock(mutex_);
  ++sessions_;
}

void Service::session_ends() {
  std::lock_guard lock(mutex_);
  if (--sessions_ == 0) idle_.notify_all();
}

bool Service::wait_until_idle(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  return idle_.wait_until(lock, deadline, [this] { return sessions_ == 0; });
}

void Service::failed(std::string_view what) noexcept try {
  const std::uint64_t count = ++failures_;
  if (!std::has_single_bit(count)) return;
  logging::error("milter callback failed (" + std::to_string(count) +
                 " so far), the mail goes on unlabelled: " + std::string(what));
} catch (...) {
  // Out of memory while telling of it: there is nothing left to do, and mail must flow.
}

classifier::Trace BoundedEvidence::ask(const net::Endpoint& client, std::uint32_t after,
                                       const classifier::ShownSizes& sizes) {
  const Place place(service_.in_flight_, settings_.filter.max_in_flight);
  if (!place) return classifier::unobserved(classifier::Reason::Busy, after + 1);
  const evidence::Client observer(settings_.evidence.socket, settings_.filter.evidence_timeout);
  return observer.ask(client, after, sizes);
}

}  // namespace filter
