// Two days of mail as the talk describes them, made up from a seed: who sends when, from where, and
// whether it is unwanted. Traces of real programs show how each message is written.
//
//     50 big senders      a few /24 each, shared by good and some bad customers      45 % of the mail
//     30,000 small sites  an address each; a few of them are broken into             25 %
//     steady bots         200,000 networks, most of them in systems of bad repute    25 %
//     mobile pools        cellular networks, whose addresses change hands             5 %
//
// The rate follows day and night, at another hour for each kind. Times grow.
#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <vector>

#include "milter/net/address.h"
#include "milter/reputation/standing.h"

namespace simulation {

enum class Sender : std::uint8_t { Big, Small, Bot, Mobile };
inline constexpr std::size_t kSenders = 4;

struct Mail {
  std::chrono::sys_time<std::chrono::milliseconds> time;
  net::Endpoint client;
  std::uint32_t asn = 0;
  Sender sender = Sender::Big;
  bool unwanted = false;
  bool confirmed = false;    // its EHLO name is its confirmed DNS name
  std::uint32_t random = 0;  // by which the caller chooses a trace
};

class Days {
 public:
  static constexpr std::chrono::hours kLength{48};

  Days(std::uint64_t seed, std::uint64_t messages,
       std::chrono::sys_time<std::chrono::milliseconds> begin);

  bool next(Mail& mail);

 private:
  // A host or a network with its own share of unwanted mail.
  struct Source {
    std::uint32_t network = 0;  // the first three bytes of IPv4
    std::uint32_t asn = 0;
    std::uint8_t hosts = 1;  // the network's addresses that send
    std::uint8_t first = 1;
    double unwanted = 0;
    bool confirmed = false;
  };

  double uniform() { return std::uniform_real_distribution<double>()(random_); }
  std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(random_() % limit); }
  // Shares whose mean is `mean` and that lie the more at 0 and 1 the smaller `strength` is.
  double share(double mean, double strength);
  void make_big();
  void make_small();
  void make_bots();
  void make_mobile();
  Sender choose(double hour);

  std::mt19937_64 random_;
  const std::uint64_t messages_;
  const std::chrono::sys_time<std::chrono::milliseconds> begin_;
  std::uint64_t made_ = 0;
  std::array<std::vector<Source>, kSenders> sources_;
};

}  // namespace simulation
