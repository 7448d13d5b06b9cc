#pragma once

#include <string>

namespace halftone::internal {

/// The address of this host's that `address` is reached from, as a number; nothing is sent. Throws `InvalidArgument`
/// where `address` is no name or number of a host.
std::string local_address_towards(const std::string& address, int port);

}  // namespace halftone::internal
