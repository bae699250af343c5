// Both sides of one client: its connection to us, ours to Postfix, a relay for each direction. What
// is seen of the client is its watch's (watch.h).
//
// A balancer's connection begins with a PROXY header, which is taken from the stream; whoever it
// names is the client. From anybody else such a header is bytes like any others.
//
// Passive: its host calls on_client(), on_upstream() and on_tick(); after each call one
// update_interest() derives what to wait for from the state. A session that is Ended is destroyed
// by the host when its call has returned, never inside it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "milter/capture/kernel_filter.h"
#include "milter/net/address.h"
#include "milter/net/event.h"
#include "milter/net/fd.h"
#include "milter/net/proxy_protocol.h"
#include "milter/proxy/admission.h"
#include "milter/proxy/relay.h"
#include "milter/proxy/upstream.h"
#include "milter/proxy/watch.h"

namespace proxy {

using std::chrono::steady_clock;

class Host;

class Session {
 public:
  //  AwaitingHeader ── no header, or none in time; a health check that has gone ──────────┐
  //     │    └────── one too many of its address ──┐                                   │
  //     ▼ a balancer has said who the client is    │                                   │
  //   Connecting ──upstream is there──► Relaying ──┼─both directions done, or one broken──► Ended
  //       │                                 │      ▼                                       ▲
  //       └── no upstream ──► Refusing ◄────┴──────┘ (broken before Postfix said a word;   │
  //                               │              draining: between two transactions,       │
  //                               │              or the deadline has come)                 │
  //                               └── client has gone, or waited long enough ──────────────┘
  enum class State {
    AwaitingHeader,  // a balancer's connection: its PROXY header is awaited, and nothing else read
    Connecting,      // waiting for Postfix to accept; the client's bytes wait in the kernel
    Relaying,        // bytes pass both ways
    Refusing,  // the last word was said; what the client still sends is read and dropped, so that
               // our close is no reset that would take that word from it
    Ended,
  };

  // Requires: `client` is a connected, non-blocking socket; `host` outlives the session.
  // `address`: the client's, if `place` is named; else a balancer's, who will say the client's.
  Session(Host& host, net::Fd client, const net::Endpoint& address, Admission::Place place);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Learns the SYN; connects to Postfix, if the client is known. To be called once, right after
  // construction.
  void start();

  void on_client(short what);
  void on_upstream(short what);
  // A balancer's own connection has lived longer than a health check that only connects.
  void on_pause(short what);
  // Called about once a second: idle and refusing sessions end, and balancers that say nothing.
  void on_tick(steady_clock::time_point now);
  // No new transaction is to begin: 421 now, if none is open, or when it is over. What cannot be
  // told (TLS, nothing observed) goes on until Host::closing(); then the session ends, unless
  // Postfix may owe the answer to a message: then when that has been passed on.
  void drain();
  // Ends it at once, whatever is under way.
  void cut();

  // One segment of this client, from the kernel filter.
  void segment(const capture::SegmentEvent& event);

  State state() const { return state_; }
  // The client's, once it is introduced: admission has counted it as this address's from then on.
  const net::Endpoint& address() const { return address_; }
  bool client_known() const { return expected_header_ == nullptr; }
  std::uint64_t cookie() const { return watch_.cookie(); }

 private:
  friend class Host;  // keeps the session's place in its list

  // What is known of a connection whose balancer has not said yet whose it is.
  struct ExpectedHeader {
    std::string bytes;                            // of its PROXY header, taken from the socket
    std::vector<capture::SegmentEvent> segments;  // seen meanwhile; at most kMostHeld
    steady_clock::time_point since;
    net::Event pause;  // set: the header is whole, and LOCAL
  };

  // What libevent calls.
  template <void (Session::*handler)(short)>
  static void on_event(evutil_socket_t, short what, void* session);

  void read_proxy_header();
  void take_client(const net::ProxyHeader& header);
  // The balancer's connection is closed; the log is told why, not more than once a minute.
  void refuse_proxy_header(std::string_view reason);
  // Connects to Postfix and has the watch begin, which takes the session's ends as Postfix knows
  // them. `header`: of a balancer, in bytes; 0: there was none.
  void connect_upstream(std::size_t header);
  void begin_relaying();
  void client_to_upstream();
  void upstream_to_client();
  // Whether the client has to act next: only then does idle_timeout count its silence.
  bool clients_turn() const;
  // Whether a client that is cut now may send a message again that Postfix has.
  bool answer_owed() const;
  // No byte has passed for as long as is allowed: ends the session.
  void end_silence();
  // Passes ends on, and ends the session when there is nothing left to relay.
  void settle();
  void update_interest();
  // No Postfix: says 421 and closes.
  void give_up();
  // `line`: said to the client; empty under TLS, or where it may not stand.
  void refuse(std::string_view line);
  void enter(State state);

  Host& host_;
  Admission::Place place_;
  net::Fd client_;
  net::Fd upstream_;
  net::Endpoint address_;
  net::Endpoint local_;                              // whom the client called
  std::unique_ptr<ExpectedHeader> expected_header_;  // until the client is known
  net::Event client_event_;
  net::Event upstream_event_;
  short client_interest_ = 0;  // what the events are registered for
  short upstream_interest_ = 0;
  State state_ = State::Connecting;
  steady_clock::time_point entered_;  // the state, where it is not the first one
  Relay inbound_;                     // client → Postfix
  Relay outbound_;                    // Postfix → client
  std::string proxy_header_;          // not yet sent to Postfix
  steady_clock::time_point last_active_;
  bool server_spoke_last_ = false;  // of the bytes that were passed on
  Watch watch_;
};

}  // namespace proxy
