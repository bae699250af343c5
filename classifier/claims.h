// What a message claims about the program that sent it, and whether its gait bears that out.
//
// Claims are text and so are no part of a Trace: the filter takes them from Postfix (headers,
// HELO), offline they come from the tracker, and both throw them away with the message. Pure; any
// thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "classifier/gait.h"

namespace classifier {

struct Claims {
  static constexpr std::size_t kLongest = 256;  // bytes kept of each

  std::string mailer;    // value of the first X-Mailer, else User-Agent
  std::string received;  // value of the first Received
  std::string helo;      // the greeting's name
  bool operator==(const Claims&) const = default;

  // Takes a header field as it comes, first one first.
  void header(std::string_view name, std::string_view value);
};

class ClaimTable {
 public:
  enum class Kind : std::uint8_t { Received, Mailer, Helo };
  struct Row {
    Kind kind = Kind::Received;
    std::string text;                // lower case
    std::vector<std::string> gaits;  // that the program has; empty: not known
    bool operator==(const Row&) const = default;
  };

  // The rows that are compiled in (classifier/gaits/claims.table).
  static const ClaimTable& builtin();

  // Adds the rows of `text` behind those that are there; on error nothing is added.
  std::optional<GaitError> add(std::string_view text);
  // The row for what the message claims; null: nothing that the table knows.
  const Row* claimed(const Claims& claims) const;
  const std::vector<Row>& rows() const { return rows_; }

 private:
  const Row* find(Kind kind, std::string_view value) const;

  std::vector<Row> rows_;
};

// Whether the message claims a program whose every gait `traits` rule out. Careful: false wherever
// the book does not know the program.
bool contradicts(const ClaimTable::Row& claim, const GaitBook& book, const Traits& traits);

}  // namespace classifier
