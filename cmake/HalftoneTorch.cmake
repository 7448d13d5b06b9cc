# Finds LibTorch and wraps it as Halftone::torch. Shared by the build and by the installed package: imported, so that the
# package makes its own and no path of this build is exported.
# LibTorch's config warns about a profiler library that its wheel does not carry; any existing library quiets it.
find_library(kineto_LIBRARY NAMES kineto m)
mark_as_advanced(kineto_LIBRARY)
find_package(Torch 2.13 REQUIRED)

if(NOT TARGET Halftone::torch)
  add_library(Halftone::torch INTERFACE IMPORTED)
  target_link_libraries(Halftone::torch INTERFACE ${TORCH_LIBRARIES})
  target_compile_features(Halftone::torch INTERFACE cxx_std_20)
  # LibTorch ships fmt's headers without its library, and they come before any other fmt.
  # RecordFunction's header asserts on a flag that release builds of LibTorch never set, so NDEBUG goes everywhere.
  target_compile_definitions(Halftone::torch INTERFACE FMT_HEADER_ONLY=1 NDEBUG)
endif()
