// Makes an entry for a program that is not in the book. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "classifier/traits.h"

namespace classifier {

// Returns the text of an entry with all that the program's messages have in common. Returns an
// empty text if they have too little in common, or if `name` is not a valid name.
std::string learn(std::string_view name, const std::vector<Traits>& messages);

}  // namespace classifier
