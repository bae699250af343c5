// Both sides of one client: its connection to the proxy, the connection from there to Postfix, and
// a relay for each direction. Its Watch (watch.h) observes the client.
//
// A balancer's connection begins with a PROXY header. It is taken from the stream, and the client
// is the one that it names. From any other address such a header is relayed like other bytes.
//
// Passive: its host calls on_client(), on_upstream() and on_tick(). After each call one
// update_interest() derives from the state what to wait for. When a session is Ended, the host
// destroys it after the call has returned, never inside it.
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
  //  AwaitingHeader ── no valid header in time, or a health check that has closed ─────────┐
  //     │    └── its client has too many sessions ──┐                                      │
  //     ▼ the balancer has named the client         │                                      ▼
  //  Connecting ── Postfix accepts ──► Relaying ────┼── both ended, or one broken ─────► Ended
  //     │                                 │         ▼                                      ▲
  //     └── no Postfix ──► Refusing ◄─────┴─────────┘ closed before a greeting; or a drain:│
  //                           │                       between two transactions,            │
  //                           │                       or the deadline has passed           │
  //                           └── the client has closed, or stayed too long ───────────────┘
  enum class State {
    AwaitingHeader,  // a balancer's connection: only its PROXY header is read
    Connecting,      // waiting for Postfix to accept; the client's bytes wait in the kernel
    Relaying,        // bytes pass both ways
    // The last line was sent. What the client still sends is read and dropped, because a close with
    // unread bytes would be a reset, and the client might lose that line.
    Refusing,
    Ended,
  };

  // Requires: `client` is a connected, non-blocking socket; `host` outlives the session. `address`:
  // the client's, if `place` is named; else the balancer's, which will name the client.
  Session(Host& host, net::Fd client, const net::Endpoint& address, Admission::Place place);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Reads the saved SYN, and connects to Postfix if the client is known. To be called once, right
  // after construction.
  void start();

  void on_client(short what);
  void on_upstream(short what);
  // The pause after a LOCAL header is over: the balancer's own connection has lived longer than a
  // health check that only connects.
  void on_pause(short what);
  // Called about once a second: ends sessions that are idle or refused, and connections of
  // balancers that send no header.
  void on_tick(steady_clock::time_point now);
  // No new transaction may begin. Sends 421 now if none is open, else when it is over. If that
  // cannot be seen (TLS, nothing observed), the session goes on until Host::closing(). Then it
  // ends, unless Postfix may owe the answer to a message; in that case it ends after that answer
  // was passed on.
  void drain();
  // Ends the session at once, in any state.
  void cut();

  // One segment of this client, from the kernel filter.
  void segment(const capture::SegmentEvent& event);

  State state() const { return state_; }
  // The client's address as soon as it is known. From then on admission has counted the session for
  // this address.
  const net::Endpoint& address() const { return address_; }
  bool client_known() const { return expected_header_ == nullptr; }
  std::uint64_t cookie() const { return watch_.cookie(); }

 private:
  // What is known of a balancer's connection before its header has named the client.
  struct ExpectedHeader {
    std::string bytes;                            // of its PROXY header, taken from the socket
    std::vector<capture::SegmentEvent> segments;  // seen meanwhile; at most kMostHeld
    steady_clock::time_point since;
    net::Event pause;  // not null: the header is complete and says LOCAL; waits out kLocalPause
  };

  // What libevent calls.
  template <void (Session::*handler)(short)>
  static void on_event(evutil_socket_t, short what, void* session);

  void read_proxy_header();
  void take_client(const net::ProxyHeader& header);
  // Closes the balancer's connection and logs why, at most once a minute.
  void refuse_proxy_header(std::string_view reason);
  // Connects to Postfix and has the watch begin, which takes the session's ends as Postfix knows
  // them. `header`: of a balancer, in bytes; 0: there was none.
  void connect_upstream(std::size_t header);
  void begin_relaying();
  void client_to_upstream();
  void upstream_to_client();
  // Whether the client has to act next. Only then does its silence count towards idle_timeout.
  bool clients_turn() const;
  // Whether a client that is cut now may send a message again which Postfix already has.
  bool answer_owed() const;
  // No byte has passed for as long as is allowed: ends the session.
  void end_silence();
  // Passes ends on, and ends the session when nothing is left to relay.
  void settle();
  void update_interest();
  // Postfix cannot be reached: sends 421 and closes.
  void give_up();
  // `line`: sent to the client; empty under TLS, or where a reply would not be valid.
  void refuse(std::string_view line);
  void enter(State state);

  Host& host_;
  Admission::Place place_;
  net::Fd client_;
  net::Fd upstream_;
  net::Endpoint address_;
  net::Endpoint local_;                              // the server address that the client called
  std::unique_ptr<ExpectedHeader> expected_header_;  // until the client is known
  net::Event client_event_;
  net::Event upstream_event_;
  short client_interest_ = 0;  // what the events are registered for
  short upstream_interest_ = 0;
  State state_ = State::Connecting;
  steady_clock::time_point entered_;  // when the state was entered; not set for the first state
  Relay inbound_;                     // client → Postfix
  Relay outbound_;                    // Postfix → client
  std::string proxy_header_;          // the part not yet sent to Postfix
  steady_clock::time_point last_active_;
  bool server_spoke_last_ = false;  // among the bytes that were passed on
  Watch watch_;
};

}  // namespace proxy
