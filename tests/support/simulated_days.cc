#include "tests/support/simulated_days.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace simulation {
namespace {

constexpr std::uint32_t kSystems = 3000;  // that small sites and bots share
constexpr std::uint32_t kFirstSystem = 64'512;

constexpr std::size_t at(Sender sender) {
  return static_cast<std::size_t>(sender);
}

}  // namespace

Days::Days(std::uint64_t seed, std::uint64_t messages,
           std::chrono::sys_time<std::chrono::milliseconds> begin)
    : random_(seed), messages_(messages), begin_(begin) {
  make_big();
  make_small();
  make_bots();
  make_mobile();
}

double Days::share(double mean, double strength) {
  std::gamma_distribution<double> bad(mean * strength);
  std::gamma_distribution<double> good((1 - mean) * strength);
  const double a = bad(random_);
  const double b = good(random_);
  return a + b > 0 ? a / (a + b) : mean;
}

void Days::make_big() {
  for (std::uint32_t sender = 0; sender < 50; ++sender) {
    const auto networks = 2 + below(30);
    const double unwanted = share(0.02, 20);
    for (std::uint32_t i = 0; i < networks; ++i) {
      sources_[at(Sender::Big)].push_back({.network = 0x500000 + sender * 64 + i,
                                           .asn = 1000 + sender,
                                           .hosts = static_cast<std::uint8_t>(20 + below(200)),
                                           .unwanted = unwanted,
                                           .confirmed = true});
    }
  }
}

void Days::make_small() {
  for (std::uint32_t site = 0; site < 30'000; ++site) {
    // Several sites share a hoster's network.
    const auto network = 0x600000 + below(15'000);
    const bool broken_into = below(100) < 3;
    sources_[at(Sender::Small)].push_back({.network = network,
                                           .asn = kFirstSystem + network % kSystems,
                                           .first = static_cast<std::uint8_t>(1 + below(250)),
                                           .unwanted = broken_into ? 0.8 : share(0.01, 5),
                                           .confirmed = below(3) == 0});
  }
}

void Days::make_bots() {
  for (std::uint32_t i = 0; i < 200'000; ++i) {
    // Systems differ: the square puts half of the networks into a quarter of the systems.
    const auto system = static_cast<std::uint32_t>(std::pow(uniform(), 2) * kSystems);
    sources_[at(Sender::Bot)].push_back({.network = 0x700000 + i,
                                         .asn = kFirstSystem + system,
                                         .hosts = static_cast<std::uint8_t>(1 + below(12)),
                                         .first = static_cast<std::uint8_t>(1 + below(230)),
                                         .unwanted = share(0.97, 10)});
  }
}

void Days::make_mobile() {
  for (std::uint32_t pool = 0; pool < 60; ++pool) {
    const double unwanted = share(0.6, 3);
    for (std::uint32_t i = 0; i < 64; ++i) {
      sources_[at(Sender::Mobile)].push_back({.network = 0x640000 + pool * 64 + i,
                                              .asn = 2000 + pool,
                                              .hosts = 254,
                                              .unwanted = unwanted});
    }
  }
}

Sender Days::choose(double hour) {
  // Offices write by day, bots all the time, telephones in the evening.
  const auto wave = [hour](double peak) {
    return 1 + 0.6 * std::cos((hour - peak) * std::numbers::pi / 12);
  };
  const double weights[] = {0.45 * wave(14), 0.25 * wave(11), 0.25, 0.05 * wave(20)};
  double place = uniform() * (weights[0] + weights[1] + weights[2] + weights[3]);
  for (std::size_t i = 0; i + 1 < kSenders; ++i) {
    if (place < weights[i]) return static_cast<Sender>(i);
    place -= weights[i];
  }
  return Sender::Mobile;
}

bool Days::next(Mail& mail) {
  if (made_ == messages_) return false;
  // The clock goes faster by day: u + sin(4 pi u) / (8 pi) has its steep parts at noon.
  const double u = (static_cast<double>(made_++) + uniform()) / static_cast<double>(messages_);
  const double place =
      std::clamp(u + std::sin(4 * std::numbers::pi * u) / (8 * std::numbers::pi), 0.0, 1.0);
  const std::chrono::duration<double, std::milli> length = kLength;
  mail.time = std::max(mail.time, begin_ + std::chrono::milliseconds(
                                               static_cast<std::int64_t>(place * length.count())));
  mail.sender = choose(std::fmod(place * 48, 24));
  const auto& sources = sources_[at(mail.sender)];
  const Source& source = sources[below(static_cast<std::uint32_t>(sources.size()))];
  const auto host = static_cast<std::uint8_t>(source.first + below(source.hosts));
  mail.client = net::Endpoint::from_bytes(
      std::array<std::uint8_t, 16>{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff,
                                   static_cast<std::uint8_t>(source.network >> 16),
                                   static_cast<std::uint8_t>(source.network >> 8),
                                   static_cast<std::uint8_t>(source.network), host},
      static_cast<std::uint16_t>(1024 + below(60'000)));
  mail.asn = source.asn;
  mail.unwanted = uniform() < source.unwanted;
  mail.confirmed = source.confirmed;
  mail.random = below(UINT32_MAX);
  return true;
}

}  // namespace simulation
