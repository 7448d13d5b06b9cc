# What report.html is made of, as a source file of the library: the page's own files, and Vega-Lite where it is found.
option(HALFTONE_PLOTS "Draw plots in report.html where Vega-Lite is found" ON)
set(HALFTONE_VEGA_DIR ${PROJECT_SOURCE_DIR}/src/report/page/node_modules CACHE PATH
    "Folder of the npm packages vega, vega-lite and vega-embed; ./run installs them")

set(page_dir ${PROJECT_SOURCE_DIR}/src/report/page)
set(page_files
  page.html page.css data.js elements.js plot.js plane.js layers.js pairs.js tables.js sites.js page.js)
list(TRANSFORM page_files PREPEND ${page_dir}/)
set(vega_files vega/build/vega.min.js vega-lite/build/vega-lite.min.js vega-embed/build/vega-embed.min.js)
list(TRANSFORM vega_files PREPEND ${HALFTONE_VEGA_DIR}/)

set(vega_dir "")
if(HALFTONE_PLOTS)
  set(vega_dir ${HALFTONE_VEGA_DIR})
  foreach(file IN LISTS vega_files)
    if(NOT EXISTS ${file})
      set(vega_dir "")
      set(missing ${file})
    endif()
  endforeach()
endif()
if(vega_dir)
  message(STATUS "Plots of report.html: Vega-Lite from ${vega_dir}")
else()
  if(HALFTONE_PLOTS)
    message(STATUS "Plots of report.html: none, ${missing} is not there; `npm ci` in src/report/page, then CMake again")
  else()
    message(STATUS "Plots of report.html: none, HALFTONE_PLOTS is off")
  endif()
  set(vega_files "")
endif()

# halftone_page(<target>): adds the page to the sources of `target`.
function(halftone_page target)
  set(output ${CMAKE_CURRENT_BINARY_DIR}/page_source.cpp)
  set(script ${PROJECT_SOURCE_DIR}/cmake/page_source.cmake)
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} -DPAGE_DIR=${page_dir} -DVEGA_DIR=${vega_dir} -P ${script}
    DEPENDS ${script} ${page_files} ${vega_files} VERBATIM)
  target_sources(${target} PRIVATE ${output})
endfunction()
