// The value of X-Protocol-Pattern, folded, and how to recognize headers of that name.
//
//     mx1.example.org; pattern=bot-template; score=8.4; confidence=0.97; action=none;
//      writer=template; path=full; gait=unknown; mss=1440; tls=no;
//      segments=399,29,184,1440,1377; v=1
//
// With a key, `seal=` stands before `v` (seal/seal.h).
//
// The header is a contract: filters of other people read it. Pure functions; safe from any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "classifier/classify.h"
#include "classifier/trace.h"
#include "milter/policy/decision.h"
#include "milter/seal/seal.h"

namespace filter {

inline constexpr char kHeaderName[] = "X-Protocol-Pattern";

// Header names are compared without case. RFC 5322, 1.2.2.
bool is_own_header(std::string_view name);

// The hostname as one word of printable ASCII without ';', because the header begins with it.
// "localhost" if nothing is left.
std::string host_word(std::string_view hostname);

// Lines end with "\n" and continue with "\t" (libmilter wants that; Postfix makes the CRLF). They
// are shorter than 78 columns. They break after a ';', or after a ',' in a list that fits on no
// line. `tls`: the message came under TLS, even if the trace does not know it. `signing`: null for
// a header without a seal.
struct Signing {
  const seal::Key& key;
  const seal::Digest& identity;  // of the message
  seal::Seconds now;
};
std::string header_value(std::string_view hostname, const classifier::Trace& trace,
                         const classifier::Verdict& verdict, const policy::Decision& decision,
                         bool tls, std::size_t max_runs, const Signing* signing = nullptr);

}  // namespace filter
