// The milter sessions that are open, so that the policy service can tell which session a request of
// Postfix is about. Both are asked by the same smtpd. Safe from any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "milter/net/address.h"

namespace filter {

class Sessions {
 public:
  struct Session {
    net::Endpoint client;
    std::optional<net::Endpoint> server;
    // As evidence::Question::began.
    std::optional<std::chrono::steady_clock::time_point> began;
    std::string daemon;        // Postfix's milter_macro_daemon_name
    std::uint16_t port = 0;    // the port that the client connected to; 0: not known
    std::uint32_t judged = 0;  // no message up to this number is still to be judged
  };

  // A session's place in the table, for as long as it is open.
  class Place {
   public:
    Place() = default;
    Place(Sessions& sessions, Session session);
    ~Place() { leave(); }
    Place(Place&& other) noexcept;
    Place& operator=(Place&& other) noexcept;

    void judged(std::uint32_t message);

   private:
    void leave();
    Sessions* sessions_ = nullptr;  // null: no place
    net::Endpoint client_;
    std::list<Session>::iterator at_;
  };

  // The one session of this client, address and port, with this server address (nothing: not
  // known). Nothing if there is none, or several.
  std::optional<Session> find(const net::Endpoint& client,
                              const std::optional<net::Endpoint>& server) const;

 private:
  mutable std::mutex mutex_;
  std::unordered_map<net::Endpoint, std::list<Session>> clients_;
};

}  // namespace filter
