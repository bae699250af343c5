// A network namespace for one test, with loopback only: what the test sets there changes nothing
// outside of it.
#pragma once

#include <sched.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <string>

#include "milter/net/fd.h"

namespace support {

// Runs a command of the shell, which has to succeed.
inline void shell(const std::string& command) {
  INFO(command);
  REQUIRE(std::system(command.c_str()) == 0);
}

// The test's process is in a namespace of its own from here on. Requires: it has one thread, and is
// root, as for the tests of the kernel filter.
inline void enter_own_network() {
  net::check(unshare(CLONE_NEWNET), "make a network namespace (the tests run as root)");
  shell("ip link set lo up");
}

// What `segmilter nft --routing` sets for way `transparent`: answers to a connection that a
// transparent socket has made come back to this machine.
inline void set_transparent_routes(const std::string& verb = "add") {
  for (const std::string family : {"-4", "-6"}) {
    const bool v4 = family == "-4";
    shell("ip " + family + " rule " + verb + " from " + (v4 ? "127.0.0.0/8" : "::1/128") +
          " iif lo lookup 29549");
    shell("ip " + family + " route " + verb + " local " + (v4 ? "0.0.0.0/0" : "::/0") +
          " dev lo table 29549");
  }
}

}  // namespace support
