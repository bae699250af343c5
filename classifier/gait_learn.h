// Learns the gait of a program that is not in the book. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "classifier/traits.h"

namespace classifier {

// The text of an entry, from what was seen of the program's messages: what all of them have in
// common. Empty where they have too little in common, or where `name` is no name.
std::string learn(std::string_view name, const std::vector<Traits>& messages);

}  // namespace classifier
