#pragma once

#include <string>
#include <vector>

#include "halftone/distributed/communicator.hpp"

/// What `ranks` does wrong, in words; empty where all is well. All ranks of a job call. Needs no test framework, so
/// that ranks may be processes and threads.
std::vector<std::string> broken_laws(halftone::Communicator& ranks);
