#pragma once

#include <string>
#include <vector>

#include "halftone/distributed/communicator.hpp"

/// What training pieces over `ranks` give otherwise than one process does, in words; empty where nothing. All ranks of
/// a job call.
std::vector<std::string> broken_training_laws(halftone::Communicator& ranks);

/// Trains until rank `lost` is killed in a step of the second epoch.
void lose_in_training(halftone::Communicator& ranks, int lost);
