# Makes a header of text files: cmake -DOUT=FILE -DNAME=kName -DGLOB=DIR/*.gait -P embed.cmake
# The data is reviewed as text; the program carries it, so that no file can be missing.
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
