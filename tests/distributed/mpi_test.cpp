// Ranks that mpirun starts: each is a rank_program.
#include "halftone/distributed/mpi.hpp"

#include <cstdlib>

#include "distributed/processes.hpp"
#include "failure.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

bool has_mpirun() { return std::system("command -v mpirun >/dev/null 2>&1") == 0; }

std::vector<std::string> words(int size, const std::string& what) {
  return {"mpirun", "--allow-run-as-root", "--oversubscribe", "-n", std::to_string(size), HALFTONE_RANK_PROGRAM, "mpi",
          what};
}

constexpr std::chrono::seconds kEnough{120};

}  // namespace

TEST_CASE("ranks of MPI keep the laws of communicators") {
  if (!has_mpi() || !has_mpirun()) {
    WARN("skipped: MPI is not here");
    return;
  }
  const int size = GENERATE(1, 2, 3, 4);
  CAPTURE(size);
  Process job(words(size, "laws"));
  CHECK(job.exit_code(kEnough) == 0);
  CHECK(job.output().empty());
}

TEST_CASE("ranks of MPI that differ in what they do are told on all ranks who differs") {
  if (!has_mpi() || !has_mpirun()) {
    WARN("skipped: MPI is not here");
    return;
  }
  Process job(words(3, "differ"));
  CHECK(job.exit_code(kEnough) == 2);
  CHECK_THAT(job.output(), Contains("error: ranks differ in options: rank 2 has \"seed 2\""));
}

TEST_CASE("mpirun ends a job whose rank is killed") {
  if (!has_mpi() || !has_mpirun()) {
    WARN("skipped: MPI is not here");
    return;
  }
  Process job(words(3, "kill-1"));
  const auto status = job.finish(kEnough);
  REQUIRE(status);
  CHECK((WIFSIGNALED(*status) || WEXITSTATUS(*status) != 0));
}

TEST_CASE("MPI that is not built in says what to do") {
  if (has_mpi()) {
    CHECK_THAT(failure([] { make_mpi_communicator({.timeout = std::chrono::milliseconds(0)}); }).text,
               Contains("timeout is 0 ms: at least 1 ms is needed"));
    return;
  }
  const Failure seen = failure([] { make_mpi_communicator(); });
  CHECK(seen.code == Errc::Unsupported);
  CHECK_THAT(seen.text, Contains("apt-get install libopenmpi-dev openmpi-bin"));
}
