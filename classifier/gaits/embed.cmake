# Makes a C++ header from text files: cmake -DOUT=FILE -DNAME=kName -DGLOB=DIR/*.gait -P embed.cmake
# The data is edited as text and compiled into the program, so that no file can be missing.
file(GLOB files ${GLOB})
list(SORT files)
set(text "// Made by embed.cmake.\n#pragma once\n#include <string_view>\n")
string(APPEND text "namespace classifier {\ninline constexpr std::string_view ${NAME}[] = {\n")
foreach(file ${files})
  file(READ ${file} content)
  string(APPEND text "R\"~~~(${content})~~~\",\n")
endforeach()
string(APPEND text "};\n}  // namespace classifier\n")
file(WRITE ${OUT} "${text}")
