#include "milter/filter/callbacks.h"

#include <unistd.h>

#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "milter/filter/header.h"
#include "milter/filter/record.h"
#include "milter/filter/socket.h"
#include "milter/log/log.h"
#include "text/number.h"

namespace filter {
namespace {

// libmilter passes to its callbacks only the session's pointer, which is null at first. So this is
// the one global variable.
Service* service = nullptr;

constexpr unsigned long kActions = SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_QUARANTINE;
// Steps that show nothing we use.
constexpr unsigned long kUnwanted = SMFIP_NOEOH | SMFIP_NOUNKNOWN;
// Header values as they are; bodies that we may stop in the middle; and recipients that Postfix
// refuses, because they too are among the commands that are measured.
constexpr unsigned long kExact = SMFIP_HDR_LEADSPC | SMFIP_SKIP | SMFIP_RCPT_REJ;
// Steps whose answer is always "continue": Postfix need not wait for the answer.
constexpr unsigned long kNoReply =
    SMFIP_NR_CONN | SMFIP_NR_HELO | SMFIP_NR_MAIL | SMFIP_NR_RCPT | SMFIP_NR_HDR;

bool serves_policy() {
  return service->settings()->policy_service.socket.has_value();
}

// With a policy service Postfix waits for our answer to the connect step: the session must be known
// here before Postfix asks the policy service about it.
unsigned long silent_steps() {
  return serves_policy() ? kNoReply & ~static_cast<unsigned long>(SMFIP_NR_CONN) : kNoReply;
}

struct Session {
  Session() { service->session_begins(); }
  ~Session() { service->session_ends(); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Connection connection;
  // When Postfix contacted us. Nothing in a second session on one socket (SMFIC_QUIT_NC): there
  // Postfix does not wait for our answer to its first call, so our time may be too late.
  std::optional<std::chrono::steady_clock::time_point> began;
  // What was negotiated. A second session on one socket (SMFIC_QUIT_NC) has no negotiation. Then
  // the first session's holds, and libmilter always allows these.
  unsigned long no_reply = silent_steps();
  unsigned long exact = 0;  // of kExact
  bool no_body = false;     // Postfix shows no bodies
  Sessions::Place place;    // where the policy service finds it
};

// The session of a context. It is made here if libmilter did not begin with a negotiation.
Session& session_of(SMFICTX* context) {
  auto* session = static_cast<Session*>(smfi_getpriv(context));
  if (session == nullptr) {
    auto fresh = std::make_unique<Session>();
    if (smfi_setpriv(context, fresh.get()) == MI_FAILURE) throw std::bad_alloc();
    session = fresh.release();
  }
  return *session;
}

template <typename Body>
sfsistat guarded(sfsistat otherwise, Body body) noexcept {
  try {
    return body();
  } catch (const std::exception& error) {
    service->failed(error.what());
  } catch (...) {
    service->failed("unknown exception");
  }
  return otherwise;
}

// For the steps of kNoReply: libmilter expects the same kind of answer even if `body` throws.
template <typename Body>
sfsistat guarded_silent(SMFICTX* context, unsigned long step, Body body) noexcept {
  const auto* session = static_cast<const Session*>(smfi_getpriv(context));
  const unsigned long no_reply = session != nullptr ? session->no_reply : silent_steps();
  const sfsistat answer = (no_reply & step) != 0 ? SMFIS_NOREPLY : SMFIS_CONTINUE;
  return guarded(answer, [&] {
    body(session_of(context));
    return answer;
  });
}

std::string_view text(const char* value) {
  return value != nullptr ? std::string_view(value) : std::string_view();
}

// libmilter's signatures lack const, but it does not write to these strings.
char* c_string(const char* value) {
  return const_cast<char*>(value);
}

std::string_view macro(SMFICTX* context, const char* name) {
  return text(smfi_getsymval(context, c_string(name)));
}

// One end of the connection as Postfix knows it, also with the PROXY protocol.
std::optional<net::Endpoint> endpoint_of(SMFICTX* context, const char* address, const char* port) {
  const auto number = text::number<std::uint16_t>(macro(context, port));
  if (!number || *number == 0) return {};
  return net::Endpoint::parse_address(macro(context, address), *number);
}

// The macros come first, because test tools cannot set the port of the connect call. The call comes
// second, because {client_port} is missing if the MTA does not let us choose the macros.
std::optional<net::Endpoint> client_of(SMFICTX* context, const sockaddr* address) {
  const auto client = endpoint_of(context, "{client_addr}", "{client_port}");
  return client ? client : net::Endpoint::from(address);
}

// Our list replaces Postfix's own, so each list names all macros that are wanted at its step. A
// macro that is not read yet ({cipher}) costs a few bytes and is visible in a debug log of Postfix.
void ask_for_macros(SMFICTX* context) {
  struct List {
    int step;
    const char* macros;
  };
  constexpr List kLists[] = {
      {SMFIM_CONNECT,
       "j {client_addr} {client_port} {daemon_name} {daemon_addr} {daemon_port} v _"},
      {SMFIM_HELO, "{tls_version} {cipher}"},
      {SMFIM_ENVFROM, "{auth_authen} {auth_type} {mail_addr} i {tls_version} {cipher}"},
      {SMFIM_EOM, "i {tls_version} {cipher}"},
  };
  for (const List& list : kLists) {
    (void)smfi_setsymlist(context, list.step, c_string(list.macros));
  }
}

// The DATA step shows us nothing, but over TCP its answer saves 40 ms for each message. Postfix's
// smtpd writes what it has of a session at once, and then its cleanup writes the message. If we
// send no answer between the two, nothing carries TCP's acknowledgement of the first write. Our
// kernel delays it for 40 ms (RFC 1122, 4.2.3.2), and Postfix's kernel holds the second write back
// until it comes (Nagle, RFC 896). A unix socket has no such delay.
bool wants_data_step() {
  return !service->settings()->filter.socket.is_unix();
}

sfsistat on_negotiate(SMFICTX* context, unsigned long actions, unsigned long steps, unsigned long,
                      unsigned long, unsigned long* want_actions, unsigned long* want_steps,
                      unsigned long* reserved2, unsigned long* reserved3) {
  // If this fails, Postfix goes on without us for this client (its default_action). Not
  // SMFIS_ALL_OPTS: then it would not be known which steps want an answer.
  return guarded(SMFIS_REJECT, [&]() -> sfsistat {
    Session& session = session_of(context);
    session.began = std::chrono::steady_clock::now();
    session.no_reply = steps & silent_steps();
    session.exact = steps & kExact;
    unsigned long wanted = actions & kActions;
    if ((actions & SMFIF_SETSYMLIST) != 0) {
      wanted |= SMFIF_SETSYMLIST;
      ask_for_macros(context);
    }
    *want_actions = wanted;
    *want_steps = steps & (kUnwanted | silent_steps() | kExact);
    if (!wants_data_step()) *want_steps |= steps & SMFIP_NODATA;
    // Showing a body costs as much as the message itself. So bodies are only asked for if we can
    // stop them for mail in clear.
    const bool may_stop = (steps & SMFIP_SKIP) != 0;
    if (!may_stop || !service->settings()->filter.count_body) *want_steps |= steps & SMFIP_NOBODY;
    session.no_body = (*want_steps & SMFIP_NOBODY) != 0;
    *reserved2 = 0;
    *reserved3 = 0;
    return SMFIS_CONTINUE;
  });
}

void take_place(SMFICTX* context, Session& session, std::optional<steady_clock::time_point> began,
                const std::optional<net::Endpoint>& client,
                const std::optional<net::Endpoint>& server) {
  session.place = {};
  if (!serves_policy() || !client) return;
  const auto port = text::number<std::uint16_t>(macro(context, "{daemon_port}"));
  session.place =
      Sessions::Place(service->sessions(), {.client = *client,
                                            .server = server,
                                            .began = began,
                                            .daemon = std::string(macro(context, "{daemon_name}")),
                                            .port = port.value_or(0)});
}

// Where the client connected to. With the PROXY protocol the port is that of the PROXY header: the
// proxy's own listener.
void note_daemon(SMFICTX* context, Connection& connection) {
  const auto port = text::number<std::uint16_t>(macro(context, "{daemon_port}"));
  connection.daemon(macro(context, "{daemon_name}"), port.value_or(0));
}

sfsistat on_connect(SMFICTX* context, char* name, sockaddr* address) {
  return guarded_silent(context, SMFIP_NR_CONN, [&](Session& session) {
    const auto client = client_of(context, address);
    const auto server = endpoint_of(context, "{daemon_addr}", "{daemon_port}");
    const auto began = std::exchange(session.began, std::nullopt);
    take_place(context, session, began, client, server);
    session.connection.connect(client, server, began);
    session.connection.client_name(text(name));
    note_daemon(context, session.connection);
  });
}

sfsistat on_helo(SMFICTX* context, char* name) {
  return guarded_silent(context, SMFIP_NR_HELO, [&](Session& session) {
    const bool tls = !macro(context, "{tls_version}").empty();
    session.connection.helo(text(name), tls);
  });
}

// libmilter gives MAIL and RCPT as an array: the path, then the parameters, then null.
std::string_view path_of(char** arguments) {
  return arguments != nullptr ? text(*arguments) : std::string_view();
}

char** parameters_of(char** arguments) {
  static char* none = nullptr;
  return arguments != nullptr && *arguments != nullptr ? arguments + 1 : &none;
}

sfsistat on_mail(SMFICTX* context, char** arguments) {
  return guarded_silent(context, SMFIP_NR_MAIL, [&](Session& session) {
    Connection& connection = session.connection;
    connection.mail(path_of(arguments), macro(context, "{auth_authen}"),
                    !macro(context, "{tls_version}").empty());
    if (session.no_body) connection.body_unseen();
    for (char** at = parameters_of(arguments); *at != nullptr; ++at) {
      connection.mail_parameter(text(*at));
    }
  });
}

sfsistat on_rcpt(SMFICTX* context, char** arguments) {
  return guarded_silent(context, SMFIP_NR_RCPT, [&](Session& session) {
    session.connection.rcpt(path_of(arguments));
    for (char** at = parameters_of(arguments); *at != nullptr; ++at) {
      session.connection.rcpt_parameter(text(*at));
    }
  });
}

// Only called if wants_data_step().
sfsistat on_data(SMFICTX*) {
  return SMFIS_CONTINUE;
}

sfsistat on_header(SMFICTX* context, char* name, char* value) {
  return guarded_silent(context, SMFIP_NR_HDR, [&](Session& session) {
    const bool blank_taken = (session.exact & SMFIP_HDR_LEADSPC) == 0;
    session.connection.header(text(name), text(value), blank_taken);
  });
}

sfsistat on_body(SMFICTX* context, unsigned char* bytes, std::size_t size) {
  return guarded(SMFIS_CONTINUE, [&]() -> sfsistat {
    Session& session = session_of(context);
    session.connection.body({reinterpret_cast<const char*>(bytes), size});
    // A part that is not full is the last one, so counting the body costs nothing more.
    if (size < Shown::kPart || session.connection.wants_body(*service->settings())) {
      return SMFIS_CONTINUE;
    }
    session.connection.body_unseen();
    return (session.exact & SMFIP_SKIP) != 0 ? SMFIS_SKIP : SMFIS_CONTINUE;
  });
}

// Postfix knows its full name better than the kernel does ("mx1" instead of "mx1.example.org").
std::string hostname(SMFICTX* context, const config::Config& settings) {
  if (!settings.general.hostname.empty()) return settings.general.hostname;
  if (const auto name = macro(context, "j"); !name.empty()) return std::string(name);
  char name[256] = {};  // Linux allows 64 bytes
  (void)gethostname(name, sizeof name - 1);
  return name;
}

// Wall clock time, because a seal is checked on another machine.
seal::Seconds unix_time() {
  return std::chrono::duration_cast<seal::Seconds>(
      std::chrono::system_clock::now().time_since_epoch());
}

void warn(SMFICTX* context, std::string_view what) {
  logging::event(logging::Level::Warning, macro(context, "i"), what, {});
}

// Deletes from the last one to the first, because each deletion renumbers those after it. This is
// done before our header is inserted, which would then be number 1.
void delete_forged(SMFICTX* context, Judgement& judgement) {
  if (!judgement.delete_forged) return;
  for (unsigned i = judgement.own; i > 0; --i) {
    if (i == judgement.kept) continue;
    if (smfi_chgheader(context, c_string(kHeaderName), static_cast<int>(i), nullptr) !=
        MI_SUCCESS) {
      warn(context, "a forged header could not be deleted");
      break;
    }
    ++judgement.deleted;
  }
  service->deleted(judgement.deleted);
}

void label(SMFICTX* context, const config::Config& settings, Judgement& judgement) {
  delete_forged(context, judgement);
  std::optional<Signing> signing;
  if (settings.seal.sign) {
    signing.emplace(Signing{settings.seal.keys.front(), judgement.identity, unix_time()});
  }
  // With header values as they are, we have to write the blank after the colon ourselves.
  const bool blank = (session_of(context).exact & SMFIP_HDR_LEADSPC) != 0;
  const std::string value =
      (blank ? " " : "") + header_value(hostname(context, settings), judgement.trace,
                                        judgement.verdict, judgement.decision, judgement.tls,
                                        settings.header.max_runs, signing ? &*signing : nullptr);
  // An index of 1 or more means below Postfix's own Received.
  const int index = settings.header.index;
  const int place = index == 0 ? 0 : index + static_cast<int>(judgement.in_front);
  if (smfi_insheader(context, place, c_string(kHeaderName), c_string(value.c_str())) !=
      MI_SUCCESS) {
    warn(context, "the header could not be inserted");
  }
}

constexpr std::string_view kFlood = "5.7.1 Too many X-Protocol-Pattern header fields";

// `reply`: an enhanced status (RFC 3463) and a text, checked by the configuration. '%' is doubled,
// because Postfix takes "%%" for one '%'.
void set_reply(SMFICTX* context, const char* code, std::string_view reply) {
  const auto space = reply.find(' ');
  std::string status(reply.substr(0, space));
  std::string text;
  for (const char c : reply.substr(space + 1)) {
    if (c == '%') text.push_back('%');
    text.push_back(c);
  }
  if (smfi_setreply(context, c_string(code), status.data(), text.data()) != MI_SUCCESS) {
    warn(context, "libmilter refused the reply text, Postfix uses its own");
  }
}

// A refused message is not stored, so no header is edited.
sfsistat act(SMFICTX* context, const config::Config& settings, Judgement& judgement) {
  using classifier::Action;
  if (judgement.flood) {
    set_reply(context, "550", kFlood);
    return SMFIS_REJECT;
  }
  if (judgement.exempt != Exemption::None) {
    delete_forged(context, judgement);
    return SMFIS_CONTINUE;
  }
  switch (judgement.decision.action) {
    case Action::Reject:
      set_reply(context, "550", settings.reply.reject);
      return SMFIS_REJECT;
    case Action::Tempfail:
      set_reply(context, "451", settings.reply.tempfail);
      return SMFIS_TEMPFAIL;
    case Action::Quarantine:
      label(context, settings, judgement);
      if (smfi_quarantine(context, c_string(settings.reply.quarantine.c_str())) != MI_SUCCESS) {
        warn(context, "the message could not be put on hold");
      }
      return SMFIS_CONTINUE;
    case Action::None:
      label(context, settings, judgement);
      return SMFIS_CONTINUE;
  }
  return SMFIS_CONTINUE;
}

sfsistat on_end_of_message(SMFICTX* context) {
  return guarded(SMFIS_CONTINUE, [&]() -> sfsistat {
    const auto began = std::chrono::steady_clock::now();
    Session& session = session_of(context);
    const auto settings = service->settings();
    BoundedEvidence source(*service, *settings);
    Judgement judgement =
        session.connection.end_of_message(*settings, source, unix_time(), service->reputations());
    session.place.judged(session.connection.judged());
    if (!judgement.failure.empty()) service->failed(judgement.failure);
    service->settle(*settings, session.connection.client(), judgement,
                    std::chrono::steady_clock::now());
    const sfsistat answer = act(context, *settings, judgement);
    service->answered(std::chrono::steady_clock::now() - began);
    // The answer is final, whatever happens to the record.
    return guarded(answer, [&] {
      const auto now =
          std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
      service->send(make_record(macro(context, "i"), now, session.connection, std::move(judgement)),
                    *settings);
      return answer;
    });
  });
}

sfsistat on_abort(SMFICTX* context) {
  return guarded(SMFIS_CONTINUE, [&]() -> sfsistat {
    auto* session = static_cast<Session*>(smfi_getpriv(context));
    if (session != nullptr) session->connection.abort();
    return SMFIS_CONTINUE;
  });
}

sfsistat on_close(SMFICTX* context) {
  return guarded(SMFIS_CONTINUE, [&]() -> sfsistat {
    const std::unique_ptr<Session> session(static_cast<Session*>(smfi_getpriv(context)));
    (void)smfi_setpriv(context, nullptr);
    return SMFIS_CONTINUE;
  });
}

}  // namespace

smfiDesc describe(Service& shared) {
  service = &shared;
  smfiDesc filter{};
  filter.xxfi_name = c_string("segmilter");
  filter.xxfi_version = SMFI_VERSION;
  filter.xxfi_flags = kActions;
  filter.xxfi_connect = on_connect;
  filter.xxfi_helo = on_helo;
  filter.xxfi_envfrom = on_mail;
  filter.xxfi_envrcpt = on_rcpt;
  filter.xxfi_data = on_data;
  filter.xxfi_header = on_header;
  filter.xxfi_body = on_body;
  filter.xxfi_eom = on_end_of_message;
  filter.xxfi_abort = on_abort;
  filter.xxfi_close = on_close;
  filter.xxfi_negotiate = on_negotiate;
  return filter;
}

}  // namespace filter
