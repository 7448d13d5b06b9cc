# Wraps MPI as Halftone::mpi, where it is found, and says so in HALFTONE_HAS_MPI. Shared by the build and by the installed
# package. The interface of C alone: no flags of a C++ binding that MPI 3 dropped.
set(MPI_CXX_SKIP_MPICXX ON)
find_package(MPI QUIET COMPONENTS CXX)
set(HALFTONE_HAS_MPI ${MPI_CXX_FOUND})
if(HALFTONE_HAS_MPI AND NOT TARGET Halftone::mpi)
  add_library(Halftone::mpi INTERFACE IMPORTED)
  target_link_libraries(Halftone::mpi INTERFACE MPI::MPI_CXX)
endif()
