// Checks that speak SMTP: as a client of the proxy, and to Postfix in the proxy's place. They end
// before DATA, so no message is sent. Postfix logs their connections like all others.
#include <fmt/format.h>

#include <algorithm>

#include "milter/doctor/as_user.h"
#include "milter/doctor/check.h"
#include "milter/doctor/dialogue.h"
#include "milter/doctor/postfix_log.h"
#include "milter/evidence/client.h"
#include "milter/net/proxy_protocol.h"

namespace doctor {
namespace {

using std::chrono::seconds;

// Names and addresses that are reserved for examples (RFC 2606, RFC 5737, RFC 3849).
constexpr const char* kHello = "EHLO segmilter-doctor.invalid";
constexpr const char* kMail = "MAIL FROM:<>";
constexpr const char* kForeign = "RCPT TO:<segmilter-doctor@example.net>";
constexpr const char* kStranger4 = "203.0.113.77:40112";
constexpr const char* kStranger6 = "[2001:db8:ffff::77]:40112";

// A firewall before the upstream port may admit only segmilter's user.
unsigned segmilter_uid(const Patient& patient) {
  const auto account = find_account(patient.config.general.user);
  return account ? account->uid : 0;
}

std::string announce(const Patient& patient, const net::Endpoint& client,
                     const net::Endpoint& server) {
  using Protocol = config::Proxy::Protocol;
  return patient.config.proxy.upstream_protocol == Protocol::ProxyV1
             ? net::proxy_v1(client, server)
             : net::proxy_v2(client, server);
}

const Service* upstream_service(const Patient& patient) {
  const auto services = mail_services(patient);
  return services.empty() ? nullptr : services.front();
}

// The lines that make the upstream service expect the PROXY protocol, if it does not.
std::vector<std::string> mend_protocol(const Patient& patient) {
  const Service* service = upstream_service(patient);
  if (service == nullptr || !uses_proxy_header(patient)) return {};
  const auto parameter = service->command == "postscreen" ? "postscreen_upstream_proxy_protocol"
                                                          : "smtpd_upstream_proxy_protocol";
  if (patient.postfix->value(*service, parameter) == "haproxy") return {};
  return {
      patient.postconf("-P " + shell_word(fmt::format("{}/{}=haproxy", service->key(), parameter))),
      patient.postfix_command("reload")};
}

// The line to try when Postfix does not listen: it is not started, or has not read its settings.
std::string mend_silence(const Patient& patient) {
  return patient.postfix_command(patient.postfix_runs ? "reload" : "start");
}

Finding judge_announced(const Patient& patient, const net::Endpoint& upstream) {
  const auto looked = fmt::format(
      "a session with proxy.upstream {} that begins with a PROXY header", upstream.print());
  Dialogue session(upstream, segmilter_uid(patient));
  if (!session.connected()) {
    return fail(looked, fmt::format("{}: every client gets the reply 421", session.error()),
                {mend_silence(patient)});
  }
  session.send(announce(patient, session.local(), upstream));
  const auto greeting = session.reply();
  if (!greeting.is(2)) {
    return fail(looked, fmt::format("Postfix sends no greeting: {}", greeting.print()),
                mend_protocol(patient));
  }
  // A server that does not expect the header sends its greeting anyway, and then takes the header
  // for SMTP commands: version 2 contains QUIT.
  const auto hello = session.command(kHello);
  if (!hello.is(2)) {
    return fail(looked,
                fmt::format("Postfix takes the PROXY header for SMTP commands: {}", hello.print()),
                mend_protocol(patient));
  }
  session.quit();
  return ok(fmt::format("{} reads the PROXY header: {}", upstream.print(), greeting.print()));
}

// A server that expects the header takes EHLO for a malformed one: Postfix replies "421 4.3.0
// Server local error" or nothing, and closes the connection. A server that does not expect it
// replies to EHLO. nullopt: no server listens there.
std::optional<Finding> judge_unannounced(const Patient& patient, const net::Endpoint& upstream) {
  const auto looked =
      fmt::format("a session with proxy.upstream {} without a PROXY header", upstream.print());
  Dialogue session(upstream, segmilter_uid(patient));
  if (!session.connected()) return std::nullopt;
  const auto answer = session.command(kHello);
  if (answer.is(2)) {
    session.quit();
    return fail(looked,
                fmt::format("Postfix serves sessions that have no PROXY header ({}): to Postfix "
                            "every client of the proxy has the address {}, and may relay if this "
                            "address may relay",
                            answer.print(), session.local().print_address()),
                mend_protocol(patient));
  }
  const bool error = answer.is(4) && answer.text.starts_with("4.3.0");
  if (!error && answer.end != Reply::End::Closed) {
    return skip(looked, fmt::format("Postfix neither served nor refused it: {}", answer.print()));
  }
  return ok(fmt::format("{} refuses sessions without a PROXY header", upstream.print()));
}

Finding judge_log(const Patient& patient, PostfixLog& log, const net::Endpoint& client) {
  const auto seen = log.wait_for(client);
  const auto looked =
      fmt::format("\"connect from\" in {}, for a session from {}", log.name(), client.print());
  switch (seen) {
    case Seen::Port:
      return ok(fmt::format("Postfix logs the client as {} too ({})", client.print(), log.name()));
    case Seen::AddressOnly:
      return warn(
          looked,
          "Postfix logs the client's address but no port: the ports cannot be compared, and "
          "Postfix's log lines cannot be matched with segmilter's",
          {patient.postconf("-e 'smtpd_client_port_logging = yes'"),
           patient.postfix_command("reload")});
    case Seen::Loopback:
      return fail(
          looked,
          fmt::format("Postfix logged a connection from loopback and none from {}: Postfix does "
                      "not know the client's address, and the filter finds no evidence",
                      client.print_address()),
          mend_protocol(patient));
    case Seen::Others:
      return skip(looked, "other connections are logged, but this one is not logged yet");
    case Seen::Nothing:
      return skip(looked, "no connection is logged there: which address Postfix sees is not known");
  }
  return {};
}

// --- one session from the client to the filter --------------------------------------------------

// A command that is longer than the SMTP tracker accepts (2048 bytes, Postfix's line_length_limit).
// Postfix is not harmed. The observer marks the session as lost, so its answer about this session
// differs from its answer about a session that it does not know.
std::string overlong_noop() {
  constexpr std::size_t kTooLong = 3000;
  return "NOOP " + std::string(kTooLong, 'x');
}

Finding judge_observer(const Patient& patient, const net::Endpoint& client,
                       const net::Endpoint& door) {
  const auto& path = patient.config.evidence.socket;
  const auto looked = fmt::format(
      "the evidence socket's answer about {}, while its session is open", client.print());
  const auto trace = evidence::Client(path, seconds(2)).ask({.client = client});
  using classifier::Reason;
  switch (trace.reason) {
    case Reason::NoSession:
      return fail(looked, "the observer does not know the session: mail is labelled unobserved",
                  {kRestart});
    case Reason::Error:
    case Reason::Timeout:
      return skip(looked, "the evidence socket does not answer");
    case Reason::NoCapture:
      return warn(looked, "the observer knows the client but observes nothing: capture is off", {},
                  "[capture] method = \"auto\"");
    default:
      return ok(fmt::format("the observer knows the client as {} (over {})", client.print(),
                            door.print()));
  }
}

// Speaks SMTP up to MAIL and RSET, then sends the overlong command. nullopt: Postfix accepted MAIL
// and RSET. Else the finding says what Postfix refused: it may refuse all mail for the same reason.
std::optional<Finding> begin_session(Dialogue& session, const std::string& looked) {
  if (!session.connected()) return skip(looked, session.error());
  const auto greeting = session.reply();
  if (greeting.end == Reply::End::TimedOut) {
    return fail(looked, fmt::format("the proxy sends no greeting: {}", greeting.print()),
                {kRestart});
  }
  if (!greeting.is(2)) {
    return fail(looked,
                fmt::format("the session is refused, perhaps all mail is: {}", greeting.print()));
  }
  for (const char* command : {kHello, kMail, "RSET"}) {
    const auto reply = session.command(command);
    if (reply.is(2)) continue;
    return fail(looked, fmt::format("the session is refused at {}, perhaps all mail is: {}",
                                    command, reply.print()));
  }
  (void)session.command(overlong_noop());
  return std::nullopt;
}

// smtpd connects to the milter before it sends its greeting and keeps the connection. So there has
// to be at least one connection while the doctor's session is open.
Finding judge_asked(const Patient& patient) {
  const auto& socket = patient.config.filter.socket;
  const auto looked = fmt::format("connections to {} while a session is open", socket.print());
  constexpr unsigned kEstablished = 1;
  constexpr unsigned kConnected = 3;
  long count = 0;
  if (socket.is_unix()) {
    const auto all = net::unix_sockets();
    count = std::count_if(all.begin(), all.end(), [&](const net::UnixSocket& each) {
      return !each.listening && each.state == kConnected && each.path == socket.path;
    });
  } else {
    const auto all = net::tcp_sockets();
    count = std::count_if(all.begin(), all.end(), [&](const net::TcpSocket& each) {
      return each.state == kEstablished && each.local.port() == socket.port;
    });
  }
  if (count > 0)
    return ok(
        fmt::format("Postfix holds {} connection{} to the filter", count, count == 1 ? "" : "s"));
  const Service* service = upstream_service(patient);
  if (service != nullptr && service->command == "postscreen") {
    return skip(looked,
                "there is none: postscreen may not have passed the session on to smtpd yet");
  }
  return fail(looked,
              "there is none: Postfix does not ask segmilter, and mail is not labelled (see the "
              "findings of smtpd_milters and milter-socket)");
}

bool may_relay(const Patient& patient, const net::Endpoint& client) {
  return patient.postfix &&
         net::contains(parse_networks(patient.postfix->value("mynetworks")).networks, client);
}

std::vector<std::string> mend_relay(const Patient& patient) {
  auto lines = mend_protocol(patient);
  const Service* entry = upstream_service(patient);
  const Service* smtpd = entry != nullptr ? patient.postfix->smtpd_behind(*entry) : nullptr;
  if (!lines.empty() || smtpd == nullptr) return lines;
  constexpr const char* kSetting = "smtpd_relay_restrictions";
  if (smtpd->overrides.contains(kSetting)) {
    lines.push_back(patient.postconf("-PX " + shell_word(smtpd->key() + "/" + kSetting)));
  }
  lines.push_back(patient.postconf(fmt::format(
      "-e '{} = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination'",
      kSetting)));
  lines.push_back(patient.postfix_command("reload"));
  return lines;
}

// Judges Postfix's reply to a RCPT for a foreign domain. `announced`: a PROXY header named a
// stranger's address as the client. Otherwise the client has an address of this machine; if that is
// not in mynetworks, Postfix permits strangers the same.
Finding judge_relay(const Patient& patient, const std::string& looked, const Reply& reply,
                    const net::Endpoint& client, bool announced) {
  const auto address = client.print_address();
  if (reply.is(4) || reply.is(5)) {
    // postscreen replies 4.3.2 to a client that it sees for the first time.
    if (reply.text.starts_with("4.3.2")) {
      return skip(looked, fmt::format("the client was refused before relaying was decided: {}",
                                      reply.print()));
    }
    return ok(fmt::format("{} may not relay: {}", address, reply.print()));
  }
  if (!reply.is(2)) {
    return skip(looked, fmt::format("Postfix gave no decision: {}", reply.print()));
  }
  const bool listed = may_relay(patient, client);
  if (announced) {
    const auto why = listed ? " (see mynetworks)" : "";
    return fail(looked,
                fmt::format("OPEN RELAY: a stranger, {}, may send mail to any address: {}{}.",
                            address, reply.print(), why),
                listed ? std::vector<std::string>() : mend_relay(patient));
  }
  if (!patient.postfix) {
    return skip(looked,
                fmt::format("{} may relay; without mynetworks the doctor cannot know whether that "
                            "is intended",
                            address));
  }
  if (listed) {
    return skip(
        looked,
        fmt::format(
            "{} may relay because it is in mynetworks: what strangers may do cannot be tested from "
            "here",
            address));
  }
  return fail(looked,
              fmt::format("OPEN RELAY: {} is not in mynetworks and may send mail to any address: "
                          "{}.",
                          address, reply.print()),
              mend_relay(patient));
}

// Returns Postfix's reply to RCPT. nullopt: the session ended before RCPT; `last` is the reply that
// ended it.
std::optional<Reply> ask_to_relay(Dialogue& session, Reply& last) {
  last = session.reply();
  if (!last.is(2)) return std::nullopt;
  last = session.command(kHello);
  // A server that takes the PROXY header for a command has replied to that first, with 5xx. Exactly
  // this server can be an open relay, so the session continues with its next reply.
  if (last.is(5)) last = session.reply();
  if (!last.is(2)) return std::nullopt;
  last = session.command(kMail);
  if (!last.is(2)) return std::nullopt;
  last = session.command(kForeign);
  session.quit();
  return last;
}

Finding relay_from_here(const Patient& patient, const net::Endpoint& door) {
  Dialogue session(door, 0, front_address(patient, door));
  auto looked = fmt::format("{} over {}", kForeign, door.print());
  if (!session.connected()) return skip(looked, session.error());
  const auto client = session.local();
  looked += " from " + client.print_address();
  Reply last;
  const auto reply = ask_to_relay(session, last);
  if (!reply) return skip(looked, fmt::format("the session ended before RCPT: {}", last.print()));
  return judge_relay(patient, looked, *reply, client, false);
}

// A session with Postfix in which the doctor pretends to be a stranger, as the proxy would announce
// one: by a PROXY header, or by connecting from the stranger's address.
Finding relay_as_stranger(const Patient& patient) {
  const bool header = uses_proxy_header(patient);
  const auto& upstream = *patient.config.proxy.upstream;
  const auto stranger = *net::Endpoint::parse(upstream.is_v4() ? kStranger4 : kStranger6);
  const auto looked =
      fmt::format("{} over {}, {} {}", kForeign, upstream.print(),
                  header ? "with a PROXY header that names" : "from", stranger.print_address());
  auto session =
      header ? Dialogue(upstream, segmilter_uid(patient)) : Dialogue::as_client(stranger, upstream);
  if (!session.connected()) return skip(looked, session.error());
  if (header) session.send(announce(patient, stranger, upstream));
  Reply last;
  const auto reply = ask_to_relay(session, last);
  if (!reply) return skip(looked, fmt::format("the session ended before RCPT: {}", last.print()));
  return judge_relay(patient, looked, *reply, stranger, true);
}

}  // namespace

Findings check_upstream(const Patient& patient) {
  if (!uses_proxy_header(patient)) return {};
  const auto& upstream = *patient.config.proxy.upstream;
  Findings findings{judge_announced(patient, upstream)};
  if (auto unannounced = judge_unannounced(patient, upstream)) {
    findings.push_back(std::move(*unannounced));
  }
  return findings;
}

Findings check_same_port(const Patient& patient) {
  Findings findings;
  PostfixLog log(patient.postfix ? patient.postfix->value("maillog_file") : "");
  for (const auto& door : front_doors(patient)) {
    const bool first = findings.empty();
    const auto looked = fmt::format("a session with {}", door.print());
    Dialogue session(door, 0, front_address(patient, door));
    if (auto refused = begin_session(session, looked)) {
      findings.push_back(std::move(*refused));
      continue;
    }
    findings.push_back(judge_observer(patient, session.local(), door));
    if (first) {
      findings.push_back(judge_log(patient, log, session.local()));
      findings.push_back(judge_asked(patient));
    }
    session.quit();
  }
  return findings;
}

Findings check_open_relay(const Patient& patient) {
  Findings findings;
  const auto doors = front_doors(patient);
  if (!doors.empty()) findings.push_back(relay_from_here(patient, doors.front()));
  // To connect from a stranger's address takes root.
  const bool can_be_stranger = uses_proxy_header(patient) || patient.root;
  if (has_proxy(patient) && can_be_stranger) findings.push_back(relay_as_stranger(patient));
  return findings;
}

}  // namespace doctor
