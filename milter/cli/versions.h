// The versions of the program and of the libraries that it uses, for bug reports.
#pragma once

#include <string>

namespace cli {

std::string versions();  // "segmilter 0.1.0\n" and one line for each library

}  // namespace cli
