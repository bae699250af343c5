// A hash with a secret, for tables whose keys strangers choose. The secret is new for each table,
// so nobody can choose keys that collide.
#pragma once

#include <cstdint>
#include <random>

namespace capture {

inline std::uint64_t random_seed() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

// Mixes a word in, by the finisher of splitmix64 (public domain, S. Vigna).
inline std::uint64_t mix(std::uint64_t state, std::uint64_t word) {
  state = (state ^ word) + 0x9e3779b97f4a7c15U;
  state = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9U;
  state = (state ^ (state >> 27)) * 0x94d049bb133111ebU;
  return state ^ (state >> 31);
}

}  // namespace capture
