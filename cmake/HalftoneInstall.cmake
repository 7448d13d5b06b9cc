# Installs Halftone as a CMake package: Halftone::halftone, Halftone::train, Halftone::cli, and Halftone::core for users who have no LibTorch.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Halftone)

install(DIRECTORY include/halftone DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.hpp")
install(TARGETS halftone_core EXPORT HalftoneCoreTargets)
install(TARGETS halftone_lib halftone_train halftone_cli EXPORT HalftoneTargets)
foreach(export IN ITEMS HalftoneCoreTargets HalftoneTargets)
  install(EXPORT ${export} NAMESPACE Halftone:: DESTINATION ${package_dir})
endforeach()

configure_package_config_file(cmake/HalftoneConfig.cmake.in HalftoneConfig.cmake INSTALL_DESTINATION ${package_dir})
# Before 1.0 a new minor version may change the interface.
write_basic_package_version_file(HalftoneConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES
  ${CMAKE_CURRENT_BINARY_DIR}/HalftoneConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/HalftoneConfigVersion.cmake
  cmake/HalftoneTorch.cmake
  cmake/HalftoneTurboJpeg.cmake
  cmake/HalftoneUtf8proc.cmake
  DESTINATION ${package_dir})

# The installed program finds LibTorch and OpenVINO where the build found them. Named one by one: CMake's
# INSTALL_RPATH_USE_LINK_PATH leaves out folders inside the source tree, and ./run puts both there.
set(library_folders $<TARGET_FILE_DIR:torch>)
if(OpenVINO_FOUND)
  list(APPEND library_folders $<TARGET_FILE_DIR:openvino::runtime>)
endif()
set_target_properties(halftone_program PROPERTIES INSTALL_RPATH "${library_folders}")
install(TARGETS halftone_program)
