#pragma once

#include <chrono>

// What c10d's headers need of gloo, whose own headers LibTorch does not ship. Halftone makes and calls none of these.
namespace gloo {

class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};

namespace transport {

class UnboundBuffer {
 public:
  virtual ~UnboundBuffer() = 0;
};

}  // namespace transport
}  // namespace gloo
