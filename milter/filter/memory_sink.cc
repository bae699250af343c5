#include "milter/filter/memory_sink.h"

#include <sys/socket.h>

#include <cerrno>
#include <exception>
#include <utility>

#include "milter/memory/sighting_bytes.h"

namespace filter {
namespace {

// How often a full socket is tried again at the end, once in kEvery.
constexpr int kLastRounds = 10;

std::size_t pieces_of(const memory::Sighting& sighting) {
  const auto& trace = sighting.trace;
  return trace.segments.size() + trace.records.size();
}

}  // namespace

void MemorySink::take(const Record& record, const config::Config&) {
  if (!record.judged()) return;
  const std::size_t pieces = pieces_of(record.sighting);
  std::lock_guard lock(mutex_);
  if (stopping_) {
    ++counters_.dropped_gone;
  } else if (waiting_.size() == kMostSightings || pieces > kMostPieces - pieces_) {
    ++counters_.dropped_full;
  } else {
    waiting_.push_back(copy(record.sighting));
    pieces_ += pieces;
  }
}

MemorySink::Slot MemorySink::copy(const memory::Sighting& sighting) {
  if (spare_.empty()) return std::make_unique<memory::Sighting>(sighting);
  Slot slot = std::move(spare_.back());
  spare_.pop_back();
  *slot = sighting;
  return slot;
}

void MemorySink::remove_first() {
  const std::size_t pieces = pieces_of(*waiting_.front());
  pieces_ -= pieces;
  if (spare_.size() < kMostSpare && pieces <= kMostSparePieces) {
    spare_.push_back(std::move(waiting_.front()));
  }
  waiting_.pop_front();
}

void MemorySink::start() {
  thread_ = std::thread([this] { serve(); });
}

void MemorySink::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_one();
  if (thread_.joinable()) thread_.join();
  for (int round = 0; !send_waiting() && round < kLastRounds; ++round) {
    std::this_thread::sleep_for(kEvery);
  }
  std::lock_guard lock(mutex_);
  counters_.dropped_full += waiting_.size();
  waiting_.clear();
}

void MemorySink::serve() {
  std::unique_lock lock(mutex_);
  while (!stop_.wait_for(lock, kEvery, [this] { return stopping_; })) {
    lock.unlock();
    (void)send_waiting();
    lock.lock();
  }
}

bool MemorySink::send_waiting() {
  std::unique_lock lock(mutex_);
  while (!waiting_.empty()) {
    const memory::Sighting& first = *waiting_.front();
    lock.unlock();
    if (!send(first)) return false;
    lock.lock();
    remove_first();
  }
  return true;
}

// False: there is no room for it. Otherwise it is sent, or lost and counted.
bool MemorySink::send(const memory::Sighting& sighting) try {
  const auto bytes = memory::to_bytes(sighting);
  if (::send(socket_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
    ++counters_.sent;
    return true;
  }
  if (errno == EAGAIN || errno == ENOBUFS) return false;
  ++counters_.dropped_gone;
  return true;
} catch (const std::exception&) {  // there is no memory for it
  ++counters_.dropped_gone;
  return true;
}

}  // namespace filter
