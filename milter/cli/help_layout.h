// The layout of `--help`: types as manuals name them, two columns, lines of at most 79 characters.
// CLI11's own layout prints types in its raw form ("TEXT:{text,json}=text", "REQUIRED") and never
// breaks a line. packaging/completion/segmilter reads this layout.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

namespace cli {

class HelpLayout : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override;
};

}  // namespace cli
