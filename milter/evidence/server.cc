#include "milter/evidence/server.h"

#include <event2/buffer.h>

#include <memory>
#include <new>
#include <utility>

#include "classifier/dialogue_words.h"
#include "classifier/trace_text.h"

namespace evidence {

namespace {

std::string none(classifier::Reason reason) {
  return "none " + std::string(name(reason));
}

std::string answer_talk(const Table& table, const SessionQuestion& question, const Look& look) {
  const auto unseen = look ? look(question.client) : classifier::Reason::None;
  if (unseen != classifier::Reason::None) return none(unseen);
  const auto found = table.talk(question);
  if (const auto* reason = std::get_if<classifier::Reason>(&found)) return none(*reason);
  return "talk " + classifier::print_words(std::get<std::uint32_t>(found));
}

}  // namespace

std::string answer(const Table& table, std::string_view text, const Look& look) {
  if (const auto session = parse_session_question(text)) return answer_talk(table, *session, look);
  const auto question = parse_question(text);
  if (!question) return none(classifier::Reason::Error);
  const auto unseen = look ? look(question->client) : classifier::Reason::None;
  if (unseen != classifier::Reason::None) return none(unseen);
  const auto found = table.find(*question);
  if (const auto* reason = std::get_if<classifier::Reason>(&found)) return none(*reason);
  return "trace " + print(std::get<classifier::Trace>(found));
}

Server::Server(event_base* base, const config::Evidence& settings, const Table& table, Look look)
    : base_(base), table_(table), look_(std::move(look)), path_text_(settings.socket) {
  serve_at(net::listen_unix(path_text_, settings.socket_mode, kBacklog,
                            "listen on evidence.socket " + path_text_));
}

void Server::serve_at(net::Fd listener) {
  // 100 ms: chosen, not measured. Half of the default evidence_timeout, so most questions are still
  // answered in time; shorter would only try more often.
  constexpr timeval kPause{0, 100'000};
  acceptor_ = std::make_unique<net::Acceptor>(base_, std::move(listener), kPause,
                                              [this](net::Fd fd) { accept(std::move(fd)); });
  path_ = net::BoundPath(path_text_);
}

void Server::close() {
  acceptor_.reset();
}

Server::~Server() = default;  // The path stays: a restarted process binds it again.

void Server::accept(net::Fd fd) {
  if (connections_.size() >= kMaxConnections) return;
  try {
    connections_.emplace_back();
  } catch (const std::bad_alloc&) {
    return;  // fd is closed, which the filter reports as an error
  }
  Connection& connection = connections_.back();
  connection.server = this;
  connection.self = std::prev(connections_.end());
  connection.stream.reset(bufferevent_socket_new(base_, fd.get(), BEV_OPT_CLOSE_ON_FREE));
  if (!connection.stream) {
    connections_.pop_back();
    return;
  }
  fd.release();
  bufferevent_setcb(connection.stream.get(), on_read, nullptr, on_event, &connection);
  bufferevent_setwatermark(connection.stream.get(), EV_READ, 0, Question::kMostText);
  const timeval patience{kPatience.count(), 0};
  bufferevent_set_timeouts(connection.stream.get(), &patience, &patience);
  bufferevent_enable(connection.stream.get(), EV_READ | EV_WRITE);
}

void Server::on_read(bufferevent* stream, void* context) {
  auto& connection = *static_cast<Connection*>(context);
  evbuffer* input = bufferevent_get_input(stream);
  std::size_t length = 0;
  struct Free {
    void operator()(char* text) const { ::free(text); }
  };
  const std::unique_ptr<char, Free> line(evbuffer_readln(input, &length, EVBUFFER_EOL_LF));
  if (!line) {
    if (evbuffer_get_length(input) >= Question::kMostText) connection.server->drop(connection);
    return;
  }
  std::string reply;
  try {
    const Server& server = *connection.server;
    reply = answer(server.table_, {line.get(), length}, server.look_) + "\n";
  } catch (const std::exception&) {
    // There is no memory for an answer. An exception that leaves this callback would end the loop
    // and all sessions.
    return connection.server->drop(connection);
  }
  bufferevent_disable(stream, EV_READ);
  bufferevent_setcb(stream, nullptr, on_written, on_event, context);
  bufferevent_write(stream, reply.data(), reply.size());
}

void Server::on_written(bufferevent*, void* context) {
  auto& connection = *static_cast<Connection*>(context);
  connection.server->drop(connection);
}

void Server::on_event(bufferevent*, short, void* context) {
  auto& connection = *static_cast<Connection*>(context);
  connection.server->drop(connection);
}

void Server::drop(Connection& connection) {
  connections_.erase(connection.self);
}

}  // namespace evidence
