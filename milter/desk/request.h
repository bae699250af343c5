// A request and its answer, without anything of HTTP that the pages need not know. Plain values.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "milter/history/selection.h"

namespace desk {

struct Request {
  std::string path;  // begins with '/', decoded
  history::Pairs query;
  // True: the client cannot wait any longer, so the answer is made of what is known by now.
  bool is_last_call = false;
};

inline constexpr const char* kHtml = "text/html; charset=utf-8";
inline constexpr const char* kText = "text/plain; charset=utf-8";

struct Response {
  int code = 200;
  std::string type = kHtml;
  std::string body;
  std::string file;     // the name under which a browser saves it; empty: it shows it
  int retry_after = 0;  // seconds; 0: nothing is said about it
};

// Returns nothing if there is no answer yet; then it is called again with the same request. An
// exception becomes a 500.
using Handler = std::function<std::optional<Response>(const Request&)>;

}  // namespace desk
