#include "halftone/core/error.hpp"
#include "halftone/distributed/mpi.hpp"

namespace halftone {

std::unique_ptr<Communicator> make_mpi_communicator(const MpiOptions& /*options*/) {
  throw Error(
      Errc::Unsupported,
      "Halftone was built without MPI: install it (apt-get install libopenmpi-dev openmpi-bin), configure again "
      "with -DHALFTONE_MPI=ON, or take ranks over gloo");
}

bool has_mpi() { return false; }

}  // namespace halftone
