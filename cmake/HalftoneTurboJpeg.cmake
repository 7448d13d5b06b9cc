# Finds libjpeg-turbo's TurboJPEG interface and wraps it as Halftone::turbojpeg. Shared by the build and by the installed
# package. Debian's own package config names files of other packages, which need not be there: it is not used.
find_path(TurboJPEG_INCLUDE_DIR turbojpeg.h)
find_library(TurboJPEG_LIBRARY NAMES turbojpeg)
mark_as_advanced(TurboJPEG_INCLUDE_DIR TurboJPEG_LIBRARY)
if(NOT TurboJPEG_INCLUDE_DIR OR NOT TurboJPEG_LIBRARY)
  message(FATAL_ERROR "TurboJPEG was not found: install libturbojpeg0-dev (Debian) or set CMAKE_PREFIX_PATH")
endif()

if(NOT TARGET Halftone::turbojpeg)
  add_library(Halftone::turbojpeg UNKNOWN IMPORTED)
  set_target_properties(Halftone::turbojpeg PROPERTIES
    IMPORTED_LOCATION ${TurboJPEG_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${TurboJPEG_INCLUDE_DIR})
endif()
