#include "milter/recorded/followed_session.h"

#include "milter/recorded/first_words.h"
#include "milter/seal/sha256.h"

namespace recorded {
namespace {

using classifier::Reason;

std::span<const char> span_of(std::string_view bytes) {
  return {bytes.data(), bytes.size()};
}

}  // namespace

void FollowedSession::set_path(const classifier::Path& path) {
  path_ = path;
  if (observer_) observer_->set_path(path);
}

void FollowedSession::start() {
  reports_.release();
  state_ = State::Following;
  lost_.reset();
  not_mail_ = false;
  tls_begun_ = false;
  observer_ = std::make_unique<classifier::Observer>(
      static_cast<classifier::Observer::Sink&>(*this), classifier::Via::Pcap,
      classifier::Observer::Limits{.segments = segments_, .resumes = true});
  observer_->set_path(path_);
}

void FollowedSession::drop() {
  state_ = State::Searching;
  observer_.reset();
}

void FollowedSession::begin_encrypted() {
  state_ = State::Encrypted;
  // Unless a lost message was reported, nothing was reported about the bytes that follow.
  tls_reported_ = rest_is_reported_;
  observer_.reset();
}

void FollowedSession::leave(Reason reason) {
  const bool open = observer_->under_tls() || observer_->in_transaction();
  lost_.reset();
  rest_is_reported_ = open && reason != Reason::NotMail;
  if (rest_is_reported_) unobserved(reason);
  drop();
}

void FollowedSession::leave_until_mail(Reason reason) {
  until_mail_ = observer_->in_transaction();
  leave(reason);
}

// --- bytes ------------------------------------------------------------------------------------

void FollowedSession::client(std::string_view bytes) {
  if (!bytes.empty()) observer_->client(span_of(bytes));
  tls_begun_ = observer_->under_tls();
  settle();
}

void FollowedSession::server(std::string_view bytes) {
  if (!bytes.empty()) observer_->server(span_of(bytes));
  settle();
}

void FollowedSession::commands_missed(std::uint64_t size) {
  observer_->command_gap(size);
  settle();
}

void FollowedSession::replies_missed() {
  observer_->assume_answers();
  settle();
}

void FollowedSession::records_missed(bool of_client, std::uint64_t size) {
  tls_begun_ = tls_begun_ || of_client;
  of_client ? observer_->client_gap(size) : observer_->server_gap(size);
  settle();
}

bool FollowedSession::is_decrypted(std::string_view first) const {
  return observer_->under_tls() && !tls_begun_ && !is_tls_record(first);
}

// Handles what the observer has said about the last bytes.
void FollowedSession::settle() {
  if (!lost_) return;
  const Reason reason = *std::exchange(lost_, std::nullopt);
  if (reason == Reason::Encrypted) return begin_encrypted();
  if (reason == Reason::NotMail) {
    not_mail_ = true;
    return leave(reason);
  }
  bool open = observer_->in_transaction();
  if (reason == Reason::Ambiguous && reports_.withdraw()) open = true;
  if (open) unobserved(reason);
  rest_is_reported_ = open;
  if (observer_->under_tls()) return leave(reason);
  observer_->resume();
}

// --- what comes out ---------------------------------------------------------------------------

Connection FollowedSession::connection() const {
  Connection connection = connection_;
  if (observer_) connection.helo = observer_->helo();
  return connection;
}

void FollowedSession::unobserved(Reason reason) {
  classifier::Trace trace = classifier::unobserved(reason, 1);
  trace.via = classifier::Via::Pcap;
  trace.tls = reason == Reason::Encrypted;
  trace.path = path_;
  reports_.unobserved(connection(), std::move(trace));
}

void FollowedSession::message(classifier::ObservedMessage&& message) {
  reports_.release();
  // This message was already reported as lost.
  if (std::exchange(until_mail_, false) && message.envelope.mail.empty()) return;
  take(std::move(message));
}

void FollowedSession::tls_message(classifier::Trace&& trace) {
  take({.trace = std::move(trace)});
  reports_.release();  // the server has answered it
}

std::shared_ptr<classifier::TlsStream> FollowedSession::follow_tls(
    classifier::TlsLog::Start&& start, classifier::ArrivalLog&& arrivals) {
  start.sha256 = seal::sha256;
  return std::make_shared<classifier::TlsLog>(std::move(start), std::move(arrivals),
                                              static_cast<classifier::TlsLog::Sink*>(this));
}

// Text that was skipped after a lost message is its rest, and not another message.
void FollowedSession::text_skipped() {
  if (!std::exchange(rest_is_reported_, false)) unobserved(Reason::Dropped);
}

void FollowedSession::take(classifier::ObservedMessage&& message) {
  classifier::Trace& trace = message.trace;
  rest_is_reported_ = false;
  if (!trace.tls && trace.segments.empty()) return unobserved(Reason::Dropped);
  tls_reported_ = tls_reported_ || trace.tls;
  if (!trace.tls && observer_->answers_assumed()) trace.window = classifier::Window::OneSided;
  reports_.hold(connection(), std::move(message));
}

// The capture or the connection ended inside a session. The part of a message that was seen is
// reported.
void FollowedSession::end_in_clear() {
  if (observer_->behind()) observer_->assume_answers();
  observer_->end_in_clear();
  settle();
  const bool in_chunk = following() && observer_->text_left() != 0 && !observer_->in_data();
  if (in_chunk) unobserved(Reason::Dropped);
}

void FollowedSession::finish() {
  if (following() && !observer_->under_tls()) end_in_clear();
  if (following() && observer_->under_tls()) {
    observer_->finish();
    state_ = State::Encrypted;
  }
  reports_.release();
  if (state_ == State::Encrypted && !tls_reported_) unobserved(Reason::Encrypted);
  state_ = State::Over;
  observer_.reset();
}

}  // namespace recorded
