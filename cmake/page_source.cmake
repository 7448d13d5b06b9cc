# Writes OUTPUT, a C++ source: the page in PAGE_DIR with styles and scripts in it, and Vega-Lite from VEGA_DIR, which
# may be empty.
cmake_minimum_required(VERSION 3.25)

set(scripts "")
set(licences "")
if(VEGA_DIR)
  # Licences of all that the bundles hold, each once.
  file(GLOB files ${VEGA_DIR}/vega*/LICENSE* ${VEGA_DIR}/d3-*/LICENSE* ${VEGA_DIR}/topojson-client/LICENSE*
       ${VEGA_DIR}/delaunator/LICENSE* ${VEGA_DIR}/robust-predicates/LICENSE* ${VEGA_DIR}/internmap/LICENSE*
       ${VEGA_DIR}/fast-json-patch/LICENSE* ${VEGA_DIR}/semver/LICENSE* ${VEGA_DIR}/tslib/LICENSE*
       ${VEGA_DIR}/json-stringify-pretty-compact/LICENSE*)
  set(hashes "")
  foreach(file IN LISTS files)
    file(SHA256 ${file} hash)
    file(RELATIVE_PATH name ${VEGA_DIR} ${file})
    get_filename_component(name ${name} DIRECTORY)
    if(hash IN_LIST hashes)
      string(REPLACE "\n<${hash}>" ", ${name}\n<${hash}>" licences "${licences}")
    else()
      list(APPEND hashes ${hash})
      file(READ ${file} text)
      string(APPEND licences "${name}\n<${hash}>\n${text}\n")
    endif()
  endforeach()
  string(REGEX REPLACE "\n<[0-9a-f]+>" ":" licences "${licences}")
  string(REPLACE "--" "- -" licences "${licences}")  # ends no HTML comment
  string(PREPEND licences "What follows holds these packages under their licences.\n\n")

  foreach(name IN ITEMS vega vega-lite vega-embed)
    file(READ ${VEGA_DIR}/${name}/build/${name}.min.js text)
    string(REGEX REPLACE "//# sourceMappingURL=[^\n]*" "" text "${text}")  # would be fetched
    string(APPEND scripts "<script>${text}</script>\n")
  endforeach()
endif()

file(READ ${PAGE_DIR}/page.html page)
file(READ ${PAGE_DIR}/page.css style)
set(code "")
foreach(name IN ITEMS data elements plot plane layers pairs tables sites page)
  file(READ ${PAGE_DIR}/${name}.js text)
  string(APPEND code "${text}\n")
endforeach()
string(REPLACE "<!--halftone:style-->" "<style>\n${style}</style>" page "${page}")
string(REPLACE "<!--halftone:vega-->" "<!--\n${licences}-->\n${scripts}" page "${page}")
string(REPLACE "<!--halftone:code-->" "<script>\n'use strict';\n${code}</script>" page "${page}")

string(FIND "${page}" ")halftone\"" end)
string(REGEX MATCHALL "</script" ends "${scripts}${code}")
string(REGEX MATCHALL "<script>" starts "${scripts}")
list(LENGTH ends end_count)
list(LENGTH starts start_count)
if(NOT end EQUAL -1 OR NOT end_count EQUAL start_count)
  message(FATAL_ERROR "a script of the page holds what would end it early")
endif()

set(has_plots false)
if(VEGA_DIR)
  set(has_plots true)
endif()
file(WRITE ${OUTPUT} "// Made by cmake/page_source.cmake.
#include \"report/page_source.hpp\"

namespace halftone::internal {

const bool kPageHasPlots = ${has_plots};
const std::string_view kPage = R\"halftone(")
file(APPEND ${OUTPUT} "${page}")
file(APPEND ${OUTPUT} ")halftone\";

}  // namespace halftone::internal
")
