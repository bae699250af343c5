// Plays the worker for the tests of milter/proxy/{session,watch}. It has one thread, real loopback
// connections between a client, the session and a server that plays Postfix, and a clock that only
// the test moves. The kernel filter takes part if a test asks for it.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "milter/net/proxy_protocol.h"
#include "milter/proxy/host.h"
#include "milter/proxy/proxy.h"
#include "milter/proxy/session.h"
#include "tests/support/loopback.h"
#include "tests/support/smtp_script.h"

namespace support {

inline void no_delay(const net::Fd& fd) {
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// Makes close() send a reset.
inline void reset_at_close(const net::Fd& fd) {
  const linger now{1, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

using Found = std::variant<classifier::Trace, classifier::Reason>;
inline bool observed(const Found& found) {
  return std::holds_alternative<classifier::Trace>(found);
}
inline classifier::Reason reason(const Found& found) {
  const auto* missing = std::get_if<classifier::Reason>(&found);
  return missing != nullptr ? *missing : classifier::Reason::None;
}

// All that comes before a message.
inline const test::Script kToData = {test::S("220 mx ESMTP"), test::C("EHLO client.example"),
                                     test::S("250 ok"),       test::C("MAIL FROM:<a@example>"),
                                     test::S("250 ok"),       test::C("RCPT TO:<b@example>"),
                                     test::S("250 ok"),       test::C("DATA"),
                                     test::S("354 go on")};
inline constexpr std::string_view kMessage = "Subject: hello\r\n\r\ntext\r\n.\r\n";
inline const std::string kDraining = "421 4.3.2 Service is being restarted, try again later\r\n";

struct BedOptions {
  std::function<void(config::Config&)> change = nullptr;
  bool kernel = false;
  std::size_t max_bytes = SIZE_MAX;  // for all evidence
  std::size_t ring_bytes = 1 << 16;
  std::string host = "127.0.0.1";  // of the proxy and the server
  std::vector<int> sources = {};   // for transparent sockets
};

// Everything around the sessions, except the loop that runs them.
struct BedParts {
  Listener server;  // plays Postfix
  config::Config settings;
  evidence::Table table;
  proxy::Counters counters;
  proxy::Shared process;
  std::vector<std::vector<net::Fd>> listeners;
  std::unique_ptr<capture::KernelFilter> filter;

  explicit BedParts(const BedOptions& options)
      : server(listen_on(options.host)),
        settings(settings_of(options, server.address)),
        table(100, std::chrono::seconds(60), options.max_bytes),
        process{.config = std::make_shared<const config::Config>(settings),
                .table = table,
                .counters = counters},
        listeners(proxy::open_listeners(settings.proxy)) {
    if (!options.kernel) return;
    filter = capture::KernelFilter::load(options.ring_bytes);
    filter->attach(listener());
  }

  int listener() const { return listeners[0][0].get(); }
  // The address on which the proxy listens.
  net::Endpoint address() const { return local_address(listener()); }

  static config::Config settings_of(const BedOptions& options, const net::Endpoint& upstream) {
    config::Config settings;
    settings.proxy.listen = {*net::Endpoint::parse(options.host + ":0")};
    settings.proxy.upstream = upstream;
    settings.proxy.workers = 1;
    if (options.change) options.change(settings);
    return settings;
  }
};

class ProxyBed final : public BedParts, public proxy::Host, private capture::KernelFilter::Sink {
 public:
  explicit ProxyBed(const BedOptions& options = {})
      : BedParts(options), Host(process, net::make_loop(), options.sources) {
    now_ = proxy::steady_clock::now();
  }

  // A client that has connected to the proxy; its session has begun.
  net::Fd connect() {
    auto client = connect_to(address());
    no_delay(client);
    accept();
    return client;
  }
  // Begins the session of a client that has itself connected to address(), or to `listener`.
  void accept() { accept_at(listener()); }
  void accept_at(int listener) {
    REQUIRE(readable(listener));
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    auto* from = reinterpret_cast<sockaddr*>(&storage);
    net::Fd client(
        net::check(accept4(listener, from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC), "accept"));
    const auto address = *net::Endpoint::from(from);
    const auto& limits = config().proxy;
    auto [answer, place] = net::contains(limits.balancers, address)
                               ? process.admission.enter_unnamed(limits)
                               : process.admission.enter(address, limits, now());
    REQUIRE(answer == proxy::Admission::Answer::Admitted);
    const auto cookie = proxy::Watch::cookie_of(client.get());
    Host& self = *this;
    auto& session =
        sessions_.try_emplace(cookie, self, std::move(client), address, std::move(place))
            .first->second;
    session.start();
    reap(session);
    run();
  }
  // The server's end of a session. Checks that its PROXY header names `client` and `called`.
  net::Fd serve(const net::Endpoint& client, const net::Endpoint& called) {
    while (!readable(server.fd.get(), 1)) run();
    auto peer = accept_one(server);
    no_delay(peer);
    const auto header = net::proxy_v2(client, called);
    REQUIRE(read(peer, header.size()) == header);
    return peer;
  }
  net::Fd serve(const net::Fd& client) { return serve(local_address(client.get()), address()); }

  // Reads `size` bytes, or fewer if the peer ends first.
  std::string read(const net::Fd& from, std::size_t size) {
    std::string out(size, '\0');
    std::size_t at = 0;
    while (at < size && await(from)) {
      const ssize_t got = recv(from.get(), out.data() + at, size - at, 0);
      if (got <= 0) break;
      at += static_cast<std::size_t>(got);
    }
    out.resize(at);
    return out;
  }
  std::string read_to_end(const net::Fd& from) {
    std::string out;
    char buffer[65536];
    while (await(from)) {
      const ssize_t got = recv(from.get(), buffer, sizeof buffer, 0);
      if (got <= 0) return out;
      out.append(buffer, static_cast<std::size_t>(got));
    }
    FAIL("the peer did not end");
    return out;
  }
  // Whether all bytes have arrived, and neither data nor an end can be read at `at`.
  bool silent(const net::Fd& at) {
    run();
    return !readable(at.get(), 0);
  }

  void say(const net::Fd& from, const net::Fd& to, std::string_view bytes) {
    send_all(from.get(), bytes);
    REQUIRE(read(to, bytes.size()) == bytes);
  }
  void play(const test::Script& script, const net::Fd& client, const net::Fd& server_end) {
    for (const auto& turn : script) {
      turn.client ? say(client, server_end, turn.bytes) : say(server_end, client, turn.bytes);
    }
  }
  // Sends a message up to its final dot. Returns what the filter would get for it.
  Found message(const net::Fd& client, const net::Fd& server_end, std::uint32_t after = 0) {
    say(client, server_end, kMessage);
    return table.find({.client = local_address(client.get()), .after = after});
  }

  // Serves the events that are pending, and those that follow, until nothing is left to do.
  void run() {
    constexpr unsigned long kEndless = 100'000;
    const unsigned long began = dispatched_;
    unsigned long before = 0;
    do {
      if (dispatched_ - began > kEndless) FAIL("a session spins");
      before = dispatched_;
      event_base_loop(base(), EVLOOP_ONCE | EVLOOP_NONBLOCK);
    } while (dispatched_ != before);
  }
  // Lets time pass, with a tick each second.
  void pass(std::chrono::milliseconds time) {
    while (time.count() > 0) {
      const auto step = std::min<std::chrono::milliseconds>(time, std::chrono::seconds(1));
      time -= step;
      run();
      now_ += step;
      drain_ring();
      for_each_session([this](proxy::Session& session) { session.on_tick(now_); });
    }
    run();
  }
  void drain() {
    draining_ = true;
    for_each_session([](proxy::Session& session) { session.drain(); });
  }
  void close_sessions() {
    closing_ = true;
    drain();
  }

  std::size_t sessions() const { return sessions_.size(); }
  // The number of events served so far.
  unsigned long dispatched() const { return dispatched_; }
  // The next new session finds that the process is too busy.
  void set_busy(bool busy) { busy_ = busy; }

 private:
  proxy::steady_clock::time_point clock() const override { return now_; }
  bool kernel_capture() const override { return filter != nullptr; }
  bool too_busy_to_observe(int) override { return busy_; }
  void drain_ring() override {
    if (filter) filter->drain(*this);
  }
  void segment(const capture::SegmentEvent& event) override {
    const auto found = sessions_.find(event.cookie);
    if (found != sessions_.end()) found->second.segment(event);
  }
  void dispatch(proxy::Session& session, void (proxy::Session::*handler)(short),
                short what) override {
    ++dispatched_;
    (session.*handler)(what);
    reap(session);
  }

  template <typename Act>
  void for_each_session(Act act) {
    for (auto at = sessions_.begin(); at != sessions_.end();) {
      auto& session = at++->second;
      act(session);
      reap(session);
    }
  }
  void reap(const proxy::Session& session) {
    if (session.state() == proxy::Session::State::Ended) sessions_.erase(session.cookie());
  }
  // Serves events until data or an end can be read.
  bool await(const net::Fd& from) {
    for (int left = kPatienceMs; left > 0; --left) {
      run();
      // On loopback the kernel delivers at once, unless it is very busy.
      if (readable(from.get(), 0) || readable(from.get(), 1)) return true;
    }
    return false;
  }

  std::unordered_map<std::uint64_t, proxy::Session> sessions_;
  unsigned long dispatched_ = 0;
  bool busy_ = false;
};

}  // namespace support
