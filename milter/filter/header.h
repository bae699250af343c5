// The value of X-Protocol-Pattern, folded, and what is ours among the headers of a message.
//
//     mx1.example.org; pattern=bot-template; score=8.4; confidence=0.97; action=none;
//      writer=template; path=full; gait=unknown; mss=1440; tls=no;
//      segments=399,29,184,1440,1377; v=1
//
// With a key, `seal=` stands before `v` (seal/seal.h).
//
// The header is a contract: other people's filters read it. Pure functions; safe from any thread.
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

// One word of printable ASCII without ';', as the header's first word must be; "localhost" where
// nothing is left.
std::string host_word(std::string_view hostname);

// Lines end with "\n" and go on with "\t" (libmilter's way; Postfix makes the CRLF). They are under
// 78 columns and break behind a ';', or behind a ',' inside a segments list that no line can hold.
// `tls`: the message came under TLS, whatever the trace knows of it. `signing`: null for a header
// without a seal.
struct Signing {
  const seal::Key& key;
  const seal::Digest& identity;  // of the message
  seal::Seconds now;
};
std::string header_value(std::string_view hostname, const classifier::Trace& trace,
                         const classifier::Verdict& verdict, const policy::Decision& decision,
                         bool tls, std::size_t max_runs, const Signing* signing = nullptr);

}  // namespace filter
