// What a launcher's variables say of a process.
#include "halftone/distributed/environment.hpp"

#include <map>
#include <string>

#include "failure.hpp"

using namespace halftone;
using Catch::Contains;
using Variables = std::map<std::string, std::string>;

namespace {

RankEnvironment read(const Variables& variables) {
  return rank_environment([&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

std::string refused(const Variables& variables) {
  const Failure seen = failure([&] { read(variables); });
  CHECK(seen.code == Errc::InvalidArgument);
  return seen.text;
}

/// With one variable changed.
Variables with(Variables variables, const std::string& name, const std::string& value) {
  variables[name] = value;
  return variables;
}

const Variables kWhole{
    {"RANK", "2"}, {"WORLD_SIZE", "4"}, {"MASTER_ADDR", "node0"}, {"MASTER_PORT", "1234"}, {"LOCAL_WORLD_SIZE", "2"}};
const Variables kMpi{{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "3"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "3"}};

}  // namespace

TEST_CASE("a process without a launcher works alone") {
  CHECK(read({}).size == 1);
  CHECK(read({{"MASTER_PORT", "nonsense"}}).size == 1);
  CHECK(read({{"RANK", "0"}, {"WORLD_SIZE", "1"}}).ranks_here == 1);
}

TEST_CASE("variables of torchrun and halftone launch are read") {
  const RankEnvironment ranks = read(kWhole);
  CHECK(ranks.rank == 2);
  CHECK(ranks.size == 4);
  CHECK(ranks.address == "node0");
  CHECK(ranks.port == 1234);
  CHECK(ranks.ranks_here == 2);
  CHECK(ranks.listener == -1);
  CHECK(!ranks.by_mpi);
  CHECK(read(with(kWhole, "HALFTONE_LISTENER", "7")).listener == 7);
  CHECK_THAT(refused(with(kWhole, "HALFTONE_LISTENER", "x")), Contains("HALFTONE_LISTENER is \"x\""));
}

TEST_CASE("mpirun's variables are read, and take gloo where rank 0's address is given") {
  CHECK(read(kMpi).by_mpi);
  CHECK(read(kMpi).rank == 1);
  CHECK(read(kMpi).ranks_here == 3);
  const RankEnvironment gloo = read(with(with(kMpi, "MASTER_ADDR", "a"), "MASTER_PORT", "5"));
  CHECK(!gloo.by_mpi);
  CHECK(gloo.port == 5);
  CHECK_THAT(refused(with(kMpi, "MASTER_ADDR", "a")), Contains("there are 3 ranks, and the environment variable "
                                                               "MASTER_PORT is not set"));
}

TEST_CASE("variables that do not fit are refused with name, value and what is allowed") {
  CHECK_THAT(refused(with(kWhole, "RANK", "two")),
             Contains("the environment variable RANK is \"two\": a whole number from 0 to 1048575 is needed"));
  for (const char* value : {"", "0", "-4", "4 ", "4.0", "99999999999999999999"})
    CHECK_THAT(refused(with(kWhole, "WORLD_SIZE", value)), Contains("WORLD_SIZE is \"" + std::string(value) + "\""));
  CHECK_THAT(refused(with(kWhole, "RANK", "4")), Contains("RANK is 4 and WORLD_SIZE 4: ranks count from 0 to 3"));
  CHECK_THAT(refused(with(kWhole, "MASTER_PORT", "65536")), Contains("MASTER_PORT is \"65536\""));
  CHECK_THAT(refused(with(kWhole, "MASTER_ADDR", "")), Contains("MASTER_ADDR is not set: set MASTER_ADDR to the "
                                                                "address of rank 0"));
  CHECK_THAT(refused(with(kWhole, "LOCAL_WORLD_SIZE", "5")), Contains("LOCAL_WORLD_SIZE is \"5\""));
  CHECK_THAT(refused({{"RANK", "0"}}), Contains("RANK is set and WORLD_SIZE is not: set both, or neither"));
  CHECK_THAT(refused({{"OMPI_COMM_WORLD_SIZE", "2"}}), Contains("OMPI_COMM_WORLD_RANK is not"));
}
