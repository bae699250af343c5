#include "milter/filter/sessions.h"

#include <utility>

namespace filter {

Sessions::Place::Place(Sessions& sessions, Session session)
    : sessions_(&sessions), client_(session.client) {
  const std::lock_guard lock(sessions.mutex_);
  auto& list = sessions.clients_[client_];
  list.push_front(std::move(session));
  at_ = list.begin();
}

Sessions::Place::Place(Place&& other) noexcept
    : sessions_(std::exchange(other.sessions_, nullptr)), client_(other.client_), at_(other.at_) {}

Sessions::Place& Sessions::Place::operator=(Place&& other) noexcept {
  if (this == &other) return *this;
  leave();
  sessions_ = std::exchange(other.sessions_, nullptr);
  client_ = other.client_;
  at_ = other.at_;
  return *this;
}

void Sessions::Place::judged(std::uint32_t message) {
  if (sessions_ == nullptr) return;
  const std::lock_guard lock(sessions_->mutex_);
  at_->judged = message;
}

void Sessions::Place::leave() {
  if (sessions_ == nullptr) return;
  const std::lock_guard lock(sessions_->mutex_);
  const auto found = sessions_->clients_.find(client_);
  found->second.erase(at_);
  if (found->second.empty()) sessions_->clients_.erase(found);
  sessions_ = nullptr;
}

std::optional<Sessions::Session> Sessions::find(const net::Endpoint& client,
                                                const std::optional<net::Endpoint>& server) const {
  const std::lock_guard lock(mutex_);
  const auto found = clients_.find(client);
  if (found == clients_.end()) return std::nullopt;
  const Session* one = nullptr;
  for (const Session& session : found->second) {
    if (server && session.server && *server != *session.server) continue;
    if (one != nullptr) return std::nullopt;
    one = &session;
  }
  return one != nullptr ? std::optional(*one) : std::nullopt;
}

}  // namespace filter
