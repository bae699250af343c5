#include "milter/policy_service/greylist.h"

#include <sys/random.h>

#include <cstring>

#include "milter/net/keyed_hash.h"
#include "milter/seal/hmac.h"
#include "text/ascii.h"

namespace policy_service {
namespace {

std::string fresh_secret() {
  std::string secret(32, '\0');
  if (getrandom(secret.data(), secret.size(), GRND_NONBLOCK) ==
      static_cast<ssize_t>(secret.size())) {
    return secret;
  }
  // Only while the machine is starting.
  const std::uint64_t seed = net::random_seed();
  std::memcpy(secret.data(), &seed, sizeof seed);
  return secret;
}

// Case is not kept: a program may write it differently when it comes again.
void append_lower(std::string_view text, std::string& to) {
  for (const char c : text) to += text::lower(c);
  to += '\0';
}

}  // namespace

Greylist::Greylist() : secret_(fresh_secret()) {}

Greylist::Key Greylist::key_of(const net::Endpoint& client, std::string_view sender,
                               std::string_view recipient) const {
  const auto network = client.network();
  std::string text(reinterpret_cast<const char*>(network.bytes().data()), network.bytes().size());
  append_lower(sender, text);
  append_lower(recipient, text);
  const seal::Digest digest = seal::hmac_sha256(secret_, text);
  Key key = 0;
  std::memcpy(&key, digest.data(), sizeof key);
  return key;
}

bool Greylist::defers(const net::Endpoint& client, std::string_view sender,
                      std::string_view recipient, const config::PolicyService& settings,
                      Clock::time_point now) {
  const Key key = key_of(client, sender, recipient);
  if (auto* last = passed_.find(key)) {
    if (now - *last <= settings.greylist_keep) {
      *last = now;
      return false;
    }
    passed_.erase(key);
  }
  const auto* first = waiting_.find(key);
  if (first == nullptr || now - *first > settings.greylist_until) {
    waiting_.put(key, now);
    return true;
  }
  if (now - *first < settings.greylist_after) return true;
  waiting_.erase(key);
  passed_.put(key, now);
  return false;
}

Greylist::Clock::time_point* Greylist::Recent::find(Key key) {
  const auto place = places_.find(key);
  if (place == places_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, place->second);
  return &entries_.front().time;
}

void Greylist::Recent::put(Key key, Clock::time_point time) {
  if (auto* known = find(key)) {
    *known = time;
    return;
  }
  if (entries_.size() == kMost) {
    places_.erase(entries_.back().key);
    entries_.pop_back();
  }
  entries_.push_front({key, time});
  places_.emplace(key, entries_.begin());
}

void Greylist::Recent::erase(Key key) {
  const auto place = places_.find(key);
  if (place == places_.end()) return;
  entries_.erase(place->second);
  places_.erase(place);
}

}  // namespace policy_service
