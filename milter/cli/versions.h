// The program's version and those of the libraries it runs with, as a bug report needs them.
#pragma once

#include <string>

namespace cli {

std::string versions();  // "segmilter 0.1.0\n" and a line a library

}  // namespace cli
