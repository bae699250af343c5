// Which requests the desk answers. It asks for no password, so a page of another site must not be
// able to read it through the browser of an administrator: neither by a name that this site lets
// point to 127.0.0.1 (DNS rebinding), nor by a request from its own pages. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "milter/config/config.h"

namespace desk {

// Sent with every answer, also with errors: a page may load the desk's own style sheet and script
// and nothing else, and no other site may show it or read it. Lines end with CRLF.
inline constexpr std::string_view kSecurityHeaders =
    "Content-Security-Policy: default-src 'none'; style-src 'self'; script-src 'self'; img-src "
    "'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n"
    "Cross-Origin-Opener-Policy: same-origin\r\n"
    "Cache-Control: no-store\r\n";

class Guard {
 public:
  // Accepts "localhost", the loopback addresses, the addresses of `config.listen`, and
  // `config.hosts`.
  explicit Guard(const config::Desk& config);

  // `host`: the header field Host, "127.0.0.1:9125"; any port may follow, because a tunnel has
  // another one.
  bool accepts_host(std::string_view host) const;

 private:
  std::vector<std::string> names_;  // in lower case, addresses in their shortest form
};

// `site`: the header field Sec-Fetch-Site, which a browser sends (W3C Fetch Metadata); empty: there
// is none.
bool comes_from_another_site(std::string_view site);

}  // namespace desk
