// What a message is known by on two hosts, whatever queue it lies in: its fields Message-ID, From,
// Date and Subject, each one as DKIM's relaxed canonicalization has it (RFC 6376, 3.4.2), in the
// order in which they stand. All fields of these names count, so that none can be added; one that
// is missing is missing on both. Not the body: to see it whole, Postfix would have to show it.
// One a message; 32 bytes whatever the size of the fields.
#pragma once

#include <string>
#include <string_view>

#include "milter/seal/hmac.h"

namespace seal {

class Identity {
 public:
  // As the milter is shown it, with the blank behind the colon or without it.
  void field(std::string_view name, std::string_view value);
  const Digest& digest() const { return chain_; }

 private:
  Digest chain_{};  // of the one before and the field
};

// "subject:hello, world\r\n".
std::string relaxed(std::string_view name, std::string_view value);

}  // namespace seal
