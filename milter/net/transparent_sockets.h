// TCP sockets with IP_TRANSPARENT, made without rights: such a socket may be bound to an address
// that is not this machine's.
//
// Setting the option takes CAP_NET_RAW or CAP_NET_ADMIN, for each socket, and no process of
// segmilter keeps either. But a socket that was accepted inherits the option from the one that
// listens, and connect() with AF_UNSPEC dissolves its connection (connect(2)); then it is like a
// new one and still transparent. So one listening socket, made while there are rights, is a source
// of any number of transparent sockets:
//
//     source, listening on 127.0.0.1 ◄──connect── an ordinary socket of this process
//        └──accept──► a connected, transparent socket ──connect(AF_UNSPEC)──► stock
//
// The other way, a process of its own that keeps the right and hands such sockets out, would leave
// a right in a process for as long as mail flows, and one process more on which mail depends.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "milter/net/address.h"
#include "milter/net/fd.h"

namespace net {

// A source: listens on a free port of 127.0.0.1, or of ::1. Takes CAP_NET_RAW or CAP_NET_ADMIN.
// Throws std::system_error that names `attempt`.
Fd open_transparent_source(bool v4, const std::string& attempt);

// One thread's stock of transparent sockets. It never waits.
class TransparentSockets {
 public:
  // Sockets of one family that are kept, or on their way.
  static constexpr std::size_t kMost = 16;

  // `sources`: of open_transparent_source(), at most one of each family. They stay the caller's,
  // outlive this object, and nobody else accepts from them.
  explicit TransparentSockets(std::span<const int> sources = {});

  // A transparent socket without address and peer, non-blocking and close-on-exec. Empty: there is
  // none at the moment, because there is no source of this family, no descriptor, or because the
  // kernel is behind with the stock's own connections.
  Fd take(bool v4);

  // The sources are another program's from here on; what is in stock can still be taken.
  void release_sources();

  // To be called about once a second: fills the stock, and gives up connections that were not
  // accepted since the call before.
  void on_tick();

 private:
  // A connection to the source that has not been accepted yet.
  struct Waiting {
    Fd socket;
    Endpoint name;  // its own end, by which the accepted socket is recognised
    bool old = false;
  };
  struct Family {
    int source = -1;  // borrowed; -1: there is none
    Endpoint address;
    std::vector<Waiting> waiting;
    std::vector<Fd> stock;
  };

  static void fill(Family& family);
  static bool order(Family& family);
  static void gather(Family& family);
  Family& family(bool v4) { return families_[v4 ? 0 : 1]; }

  std::array<Family, 2> families_;  // IPv4, IPv6
};

}  // namespace net
