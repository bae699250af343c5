// Computes the contrast of the style sheet's colours (WCAG 2.2, 1.4.3), in both schemes.
#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <string>
#include <string_view>

#include "milter/page/page.h"
#include "text/number.h"

namespace {

using Colours = std::map<std::string, std::string, std::less<>>;

// The variables "--name: #rgb" of a part of the sheet; "#fff" becomes "#ffffff".
Colours colours_in(std::string_view css) {
  Colours colours;
  for (std::size_t at = 0; (at = css.find("--", at)) != css.npos; at += 2) {
    const auto colon = css.find(": #", at);
    const auto end = css.find(';', at);
    if (colon == css.npos || colon > end) continue;
    std::string value(css.substr(colon + 3, end - colon - 3));
    if (value.size() == 3) value = {value[0], value[0], value[1], value[1], value[2], value[2]};
    REQUIRE(value.size() == 6);
    colours[std::string(css.substr(at + 2, colon - at - 2))] = value;
  }
  return colours;
}

double luminance(std::string_view colour) {
  constexpr double kShares[] = {0.2126, 0.7152, 0.0722};
  double sum = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    const double c = *text::number<std::uint8_t>(colour.substr(2 * i, 2), 16) / 255.0;
    sum += kShares[i] * (c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4));
  }
  return sum;
}

double contrast(const Colours& colours, std::string_view one, std::string_view other) {
  const double a = luminance(colours.at(std::string(one)));
  const double b = luminance(colours.at(std::string(other)));
  return (std::max(a, b) + 0.05) / (std::min(a, b) + 0.05);
}

}  // namespace

TEST_CASE("all text has a contrast of 4.5 or more, in light and in dark colours") {
  const auto dark_at = page::kStyle.find("prefers-color-scheme: dark");
  REQUIRE(dark_at != page::kStyle.npos);
  const auto light = colours_in(page::kStyle.substr(0, dark_at));
  const auto dark = colours_in(page::kStyle.substr(dark_at, page::kStyle.find("* {") - dark_at));
  REQUIRE(light.size() == dark.size());
  struct Row {
    const char* text;
    const char* ground;
  };
  constexpr Row kRows[] = {
      {"ink", "paper"},  {"soft", "paper"}, {"link", "paper"}, {"bad", "paper"}, {"good", "paper"},
      {"odd", "paper"},  {"mark", "paper"}, {"ink", "seg"},    {"ink", "seg2"},  {"ink", "write"},
      {"ink", "write2"}, {"ink", "fixed"},  {"ink", "late"}};
  for (const auto* colours : {&light, &dark}) {
    for (const auto& [text, ground] : kRows) {
      INFO((colours == &light ? "light: " : "dark: ") << text << " on " << ground);
      CHECK(contrast(*colours, text, ground) >= 4.5);
    }
  }
}

TEST_CASE("the contrast of black on white is 21, and of a colour with itself 1") {
  const Colours colours{{"black", "000000"}, {"white", "ffffff"}, {"grey", "777777"}};
  CHECK(contrast(colours, "black", "white") == Approx(21));
  CHECK(contrast(colours, "grey", "grey") == Approx(1));
  CHECK(contrast(colours, "grey", "white") == Approx(4.48).margin(0.01));
}
