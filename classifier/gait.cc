#include "classifier/gait.h"

#include <algorithm>

#include "classifier/gait_files.h"

namespace classifier {

const Gait* GaitBook::find(std::string_view name) const {
  const auto found = std::find_if(gaits_.begin(), gaits_.end(),
                                  [&](const Gait& gait) { return gait.name == name; });
  return found == gaits_.end() ? nullptr : &*found;
}

void GaitBook::add(const GaitBook& other) {
  for (const Gait& gait : other.gaits_) {
    if (find(gait.name) == nullptr) gaits_.push_back(gait);
  }
}

const std::shared_ptr<const GaitBook>& GaitBook::builtin() {
  static const std::shared_ptr<const GaitBook> book = [] {
    auto made = std::make_shared<GaitBook>();
    for (const std::string_view text : kGaitFiles) {
      // A test parses each file. If one is broken here, its names are missing, but mail goes on.
      (void)made->add(text);
    }
    return made;
  }();
  return book;
}

bool names_programs(Basis basis) {
  return basis == Basis::Recorded || basis == Basis::Slides;
}

bool is_gait_name(std::string_view name) {
  constexpr std::size_t kLongest = 24;
  return !name.empty() && name.size() <= kLongest && name != "unknown" &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

}  // namespace classifier
