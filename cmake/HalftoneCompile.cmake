# Settings private to this build; nothing here reaches a user of the installed package.
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_CXX_EXTENSIONS OFF)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

# Where ./run keeps LibTorch and OpenVINO; a prefix that is given comes first.
file(GLOB halftone_venv_prefix ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch/share/cmake
     ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/openvino/cmake)
list(APPEND CMAKE_PREFIX_PATH ${halftone_venv_prefix})

find_program(HALFTONE_CCACHE ccache)
if(HALFTONE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Precompiled headers need the sloppiness; the base directory lets clones share one cache.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} ${HALFTONE_CCACHE})
endif()

# Warnings and sanitizers of Halftone's own targets.
function(halftone_compile target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-missing-field-initializers
                         -fpch-preprocess)
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # GCC 12 warns of impossible lengths in every "text" + string (its bugs 105329 and 105651).
    target_compile_options(${target} PRIVATE -Wno-restrict -Wno-stringop-overflow -Wno-array-bounds)
  endif()
  if(HALFTONE_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(HALFTONE_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=address,undefined -fno-omit-frame-pointer)
    target_link_options(${target} PRIVATE -fsanitize=address,undefined)
  endif()
endfunction()
