// The kinds of access to the net, as rules and files of networks name them: the words of
// reputation::Access, in its order. The first one is not known.
#pragma once

#include <array>
#include <string_view>

namespace config {

inline constexpr std::array<std::string_view, 7> kAccessNames = {
    "", "cellular", "cable", "satellite", "dialup", "corporate", "hosting"};

}  // namespace config
