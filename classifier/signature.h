// The version of the labels. It is raised when patterns, writers, paths or gaits get another
// meaning, so that what is remembered under an older version is not taken for the same as newer
// labels.
#pragma once

#include <cstdint>

namespace classifier {

inline constexpr std::uint32_t kSignature = 1;

}  // namespace classifier
