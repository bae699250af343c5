#include "milter/desk/lookups.h"

#include <algorithm>
#include <exception>
#include <optional>
#include <utility>

namespace desk {
namespace {

Lookups::Answer look_up(const Lookups::Find& find, history::History& history) {
  Lookups::Answer answer;
  const auto began = Lookups::Clock::now();
  try {
    answer.found = find(history);
  } catch (const std::exception& error) {
    answer.error = error.what();
  }
  answer.at = Lookups::Clock::now();
  answer.took = answer.at - began;
  return answer;
}

}  // namespace

Lookups::Lookups(const config::Memory& settings, std::function<void()> found)
    : settings_(settings), found_(std::move(found)) {}

void Lookups::start() {
  for (unsigned i = 0; i < kThreads; ++i) threads_.emplace_back([this] { run(); });
}

Lookups::~Lookups() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_) thread.join();
}

Lookups::Kept Lookups::ask(const std::string& key, Kind kind, Find find) {
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  if (!entries_.contains(key)) {
    make_room();
    if (entries_.size() == kMostKept) return nullptr;
  }
  Entry& entry = entries_[key];
  entry.kind = kind;
  entry.find = std::move(find);
  entry.asked = now;
  if (is_due(entry, now)) enqueue(key, entry);
  return is_enough(entry, now) ? entry.answer : nullptr;
}

void Lookups::refresh() {
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  std::erase_if(entries_, [now](const auto& named) {
    const Entry& entry = named.second;
    return entry.kind != Kind::Standing && !entry.is_waiting && now - entry.asked > kIdle;
  });
  for (auto& [key, entry] : entries_) {
    if (entry.kind != Kind::Rows && is_due(entry, now)) enqueue(key, entry);
  }
}

bool Lookups::is_due(const Entry& entry, Clock::time_point now) {
  if (entry.is_waiting) return false;
  if (entry.answer == nullptr) return true;
  const auto age = now - entry.answer->at;
  if (now - entry.asked > kIdle) return age >= kIdle;
  const auto rest = entry.kind == Kind::Rows ? Clock::duration(0) : kRest * entry.answer->took;
  return age >= std::max<Clock::duration>(kFresh, rest);
}

// A look-up that failed is repeated, because the store may be there by now.
bool Lookups::is_enough(const Entry& entry, Clock::time_point now) {
  if (entry.answer == nullptr) return false;
  if (now - entry.answer->at < kFresh) return true;
  const bool is_quick = entry.answer->took <= kQuick;
  return entry.kind != Kind::Rows && entry.answer->error.empty() &&
         (!is_quick || !entry.is_waiting);
}

void Lookups::enqueue(const std::string& key, Entry& entry) {
  if (queue_.size() == kMostWaiting) return;
  queue_.push_back(key);
  entry.is_waiting = true;
  wake_.notify_one();
}

// Removes the answer for which nobody has asked for the longest time, unless it is being looked up.
void Lookups::make_room() {
  if (entries_.size() < kMostKept) return;
  auto oldest = entries_.end();
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->second.is_waiting) continue;
    if (oldest == entries_.end() || entry->second.asked < oldest->second.asked) oldest = entry;
  }
  if (oldest != entries_.end()) entries_.erase(oldest);
}

void Lookups::run() {
  history::History history(settings_);
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stop_ || !queue_.empty(); });
    if (stop_) return;
    const auto key = std::move(queue_.front());
    queue_.pop_front();
    const Find find = entries_.at(key).find;  // an entry that waits is not removed
    lock.unlock();
    auto answer = std::make_shared<const Answer>(look_up(find, history));
    lock.lock();
    Entry& entry = entries_.at(key);
    entry.answer = std::move(answer);
    entry.is_waiting = false;
    lock.unlock();
    found_();
    lock.lock();
  }
}

}  // namespace desk
