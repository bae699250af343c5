// A hash with a secret, for tables whose keys come from the network. Each process or table takes a
// new secret, so a client cannot choose keys that collide.
#pragma once

#include <sys/random.h>

#include <cstdint>

namespace net {

inline std::uint64_t random_seed() {
  std::uint64_t seed = 0x9e3779b97f4a7c15U;
  // getrandom fails only while the machine is starting. Then the constant is used.
  (void)!::getrandom(&seed, sizeof seed, GRND_NONBLOCK);
  return seed;
}

// Mixes `word` into `state` with the finisher of splitmix64 (public domain, S. Vigna).
inline std::uint64_t mix(std::uint64_t state, std::uint64_t word) {
  state = (state ^ word) + 0x9e3779b97f4a7c15U;
  state = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9U;
  state = (state ^ (state >> 27)) * 0x94d049bb133111ebU;
  return state ^ (state >> 31);
}

}  // namespace net
