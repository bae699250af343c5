// Makes TCP sockets with IP_TRANSPARENT without having the right to. Such a socket may be bound to
// an address that does not belong to this machine.
//
// Setting the option needs CAP_NET_RAW or CAP_NET_ADMIN for each socket, and no process of segmilter
// keeps either of them. But an accepted socket inherits the option from the listening one, and
// connect() with AF_UNSPEC dissolves its connection (connect(2)). After that it is like a new
// socket, and still transparent. So one listening socket, which is opened at the start, is a source
// of any number of transparent sockets:
//
//     source, listening on 127.0.0.1 ◄──connect── an ordinary socket of this process
//        └──accept──► a connected, transparent socket ──connect(AF_UNSPEC)──► stock
//
// The alternative is a process that keeps the right and hands such sockets out. Then one process
// would keep a capability for as long as mail flows, and mail would depend on one process more.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "milter/net/address.h"
#include "milter/net/fd.h"

namespace net {

// Opens a source, which listens on a free port of 127.0.0.1 or ::1. Needs CAP_NET_RAW or
// CAP_NET_ADMIN.
// Throws std::system_error that names `attempt`.
Fd open_transparent_source(bool v4, const std::string& attempt);

// One thread's stock of transparent sockets. It never waits.
class TransparentSockets {
 public:
  // The number of sockets of one family that are kept or being made. The proxy accepts
  // as many clients in one turn of its loop.
  static constexpr std::size_t kMost = 16;

  // `sources`: from open_transparent_source(), at most one of each family. The caller keeps them
  // open for longer than this object lives, and nothing else accepts from them.
  explicit TransparentSockets(std::span<const int> sources = {});

  // Returns a transparent socket without address and peer, non-blocking and close-on-exec. Empty:
  // there is none at the moment, because there is no source of this family or no descriptor left,
  // or because the kernel has not delivered the stock's own connections yet.
  Fd take(bool v4);

  // Another program uses the sources from now on. What is in stock can still be taken.
  void release_sources();

  // Fills the stock, and gives up connections that were not accepted since the previous call. Call
  // it about once a second.
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
