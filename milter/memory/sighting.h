// One judged message as it is remembered: numbers, positions and words of the program's own. What
// the sender wrote has no place in it: no address of the envelope, no header, no text, and of the
// host name that the client said only what kind of name it was.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "classifier/classify.h"
#include "classifier/trace.h"
#include "milter/net/address.h"
#include "milter/policy/decision.h"

namespace memory {

// Which kind of name a client said in EHLO or HELO.
struct HeloShape {
  bool literal = false;    // an address in brackets: "[192.0.2.7]" (RFC 5321, 4.1.3)
  bool dotless = false;    // one word: "localhost", "DESKTOP-1A2B"
  bool confirmed = false;  // the very name that DNS gives its address
  bool operator==(const HeloShape&) const = default;
};

// `confirmed_name`: the client's name in DNS, from the address to the name and back; empty: it has
// none. Names are compared without case, and a final dot does not count.
HeloShape helo_shape(std::string_view helo, std::string_view confirmed_name);

struct Sighting {
  std::chrono::sys_time<std::chrono::milliseconds> time;  // when it was decided on; UTC
  std::string queue_id;                 // of Postfix, which uses one again after a while
  std::optional<net::Endpoint> client;  // with its port; none: Postfix did not say
  std::string listener;                 // of the section [listener.NAME]; empty: [policy] counted
  HeloShape helo;
  bool tls = false;         // the message came under TLS, whatever the trace knows of it
  classifier::Trace trace;  // size, via, state, reason, fingerprints of SYN and ClientHello, …
  classifier::Verdict verdict;  // the labels; the terms of the score are among its reasons
  policy::Basis basis = policy::Basis::Evidence;
  policy::Decision decision;
};

}  // namespace memory
