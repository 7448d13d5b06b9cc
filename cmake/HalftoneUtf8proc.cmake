# Finds utf8proc and wraps it as Halftone::utf8proc. Shared by the build and by the installed package. Debian's package
# has no config file.
find_path(Utf8proc_INCLUDE_DIR utf8proc.h)
find_library(Utf8proc_LIBRARY NAMES utf8proc)
mark_as_advanced(Utf8proc_INCLUDE_DIR Utf8proc_LIBRARY)
if(NOT Utf8proc_INCLUDE_DIR OR NOT Utf8proc_LIBRARY)
  message(FATAL_ERROR "utf8proc was not found: install libutf8proc-dev (Debian) or set CMAKE_PREFIX_PATH")
endif()

if(NOT TARGET Halftone::utf8proc)
  add_library(Halftone::utf8proc UNKNOWN IMPORTED)
  set_target_properties(Halftone::utf8proc PROPERTIES
    IMPORTED_LOCATION ${Utf8proc_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${Utf8proc_INCLUDE_DIR})
endif()
