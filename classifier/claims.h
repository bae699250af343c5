// What a message claims about the program that sent it, and whether its gait contradicts the claim.
//
// Claims are text, so they are not part of a Trace. The filter takes them from Postfix (headers,
// HELO). Offline they come from the tracker. Both delete them with the message. Pure; any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "classifier/gait.h"

namespace classifier {

struct Claims {
  static constexpr std::size_t kLongest = 256;  // bytes that are kept of each claim

  std::string mailer;    // value of the first X-Mailer, else User-Agent
  std::string received;  // value of the first Received
  std::string helo;      // the greeting's name
  bool operator==(const Claims&) const = default;

  // Takes a header field. Requires: the fields come in their order in the message.
  void header(std::string_view name, std::string_view value);
};

class ClaimTable {
 public:
  enum class Kind : std::uint8_t { Received, Mailer, Helo };
  struct Row {
    Kind kind = Kind::Received;
    std::string text;                // lower case
    std::vector<std::string> gaits;  // gaits of that program; empty: not known
    bool operator==(const Row&) const = default;
  };

  // The compiled-in rows (classifier/gaits/claims.table).
  static const ClaimTable& builtin();

  // Adds the rows of `text` after those of the table. On an error it adds nothing.
  std::optional<GaitError> add(std::string_view text);
  // Returns the row for the claim of the message; null: the table has no such row.
  const Row* claimed(const Claims& claims) const;
  const std::vector<Row>& rows() const { return rows_; }

 private:
  const Row* find(Kind kind, std::string_view value) const;

  std::vector<Row> rows_;
};

// Does the message claim a program, and do `traits` rule out every gait of that program? Always
// false if the book does not know the program.
bool contradicts(const ClaimTable::Row& claim, const GaitBook& book, const Traits& traits);

}  // namespace classifier
