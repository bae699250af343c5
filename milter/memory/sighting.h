// A sighting: one judged message as it is remembered. It has numbers, positions and words that
// segmilter chose. It has no text that the sender wrote: no envelope address, no header, no body.
// Of the host name in EHLO it keeps only the kind.
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

// The kind of name that a client gave in EHLO or HELO.
struct HeloShape {
  bool literal = false;    // an address in brackets: "[192.0.2.7]" (RFC 5321, 4.1.3)
  bool dotless = false;    // one word: "localhost", "DESKTOP-1A2B"
  bool confirmed = false;  // the name is the confirmed DNS name of the client's address
  bool operator==(const HeloShape&) const = default;
};

// `confirmed_name`: the name that DNS gives for the client's address and that leads back to the
// address; empty if there is none. Names are compared without case and without a final dot.
HeloShape helo_shape(std::string_view helo, std::string_view confirmed_name);

struct Sighting {
  std::chrono::sys_time<std::chrono::milliseconds> time;  // time of the decision, UTC
  std::string queue_id;                 // Postfix's queue id; Postfix uses an id again later
  std::optional<net::Endpoint> client;  // with its port; nullopt: Postfix did not give it
  // NAME of the section [listener.NAME]; empty: [policy] applied.
  std::string listener;
  HeloShape helo;
  bool tls = false;         // the message came under TLS, even if the trace does not show it
  classifier::Trace trace;  // size, via, state, reason, fingerprints of SYN and ClientHello, …
  classifier::Verdict verdict;  // the labels; the terms of the score are among its reasons
  policy::Basis basis = policy::Basis::Evidence;
  policy::Decision decision;
};

}  // namespace memory
