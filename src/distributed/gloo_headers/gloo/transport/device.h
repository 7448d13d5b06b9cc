#pragma once

// What c10d's headers need of gloo, whose own headers LibTorch does not ship. Halftone makes and calls none of these.
namespace gloo::transport {

class Device;

}  // namespace gloo::transport
