// The identity of a message: a digest by which two hosts of a site recognise the same message, even
// though its queue id differs.
//
// It covers the fields Message-ID, From, Date and Subject, in the order in which they stand. Each
// is brought into DKIM's relaxed form first (RFC 6376, 3.4.2). Every field of these names counts,
// so an attacker cannot add one. A field that is missing is missing on both hosts. The body is not
// covered: Postfix would have to show all of it to the milter.
//
// Use one object for each message. It takes 32 bytes whatever the size of the fields.
#pragma once

#include <string>
#include <string_view>

#include "milter/seal/hmac.h"

namespace seal {

class Identity {
 public:
  // Adds a field as the milter sees it. A blank after the colon makes no difference.
  void field(std::string_view name, std::string_view value);
  const Digest& digest() const { return chain_; }

 private:
  Digest chain_{};  // digest of the previous value and the newest field
};

// The relaxed form, for example "subject:hello, world\r\n".
std::string relaxed(std::string_view name, std::string_view value);

}  // namespace seal
