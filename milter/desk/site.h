// The addresses of the desk: which view answers which request, and what is looked up for it. It
// keeps no state but the configuration; what was found is kept by the lookups. One thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "milter/config/config.h"
#include "milter/desk/frame.h"
#include "milter/desk/lookups.h"
#include "milter/desk/request.h"
#include "milter/process/metrics.h"

namespace desk {

class Site {
 public:
  using Clock = std::function<history::Time()>;  // UTC

  // `families` and `lookups`: borrowed.
  Site(std::shared_ptr<const config::Config> config, const process::Families& families,
       Lookups& lookups, Clock now);

  // Nothing: it is being looked up (request.h).
  std::optional<Response> answer(const Request& request);
  // Has the numbers of the first page counted, so that they are there when it is asked for.
  void prepare();
  void set_config(std::shared_ptr<const config::Config> config) { config_ = std::move(config); }

 private:
  enum class Form { Html, Json, Csv };
  struct Asked {
    const Request& request;
    std::string view;  // the path without ".json" and ".csv"
    Form form = Form::Html;
  };

  std::optional<Response> now(const Asked& asked);
  std::optional<Response> senders(const Asked& asked);
  std::optional<Response> health(const Asked& asked);
  std::optional<Response> messages(const Asked& asked);
  std::optional<Response> message(const Asked& asked);
  std::optional<Response> what_if(const Asked& asked);

  Lookups::Kept overview();
  Context context(const Lookups::Kept& kept = nullptr) const;
  // The response that replaces the answer: that it is not there yet, or that nothing was found.
  // Returns nothing if the request should wait.
  std::optional<Response> instead(const Asked& asked, const Lookups::Kept& kept) const;
  Response refuse(const Asked& asked, int code, const std::string& text) const;

  std::shared_ptr<const config::Config> config_;
  const process::Families& families_;
  Lookups& lookups_;
  const Clock now_;
};

}  // namespace desk
