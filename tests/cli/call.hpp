#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "halftone/cli/run.hpp"

/// The command line called as a function, and the network and data that ship.

using Words = std::vector<std::string>;

struct Outcome {
  int code = -1;
  std::string out;
  std::string err;
};

inline Outcome call(const Words& arguments, const halftone::Registry& registry = halftone::default_registry()) {
  std::ostringstream out;
  std::ostringstream err;
  const int code = halftone::cli::run(registry, arguments, out, err);
  return {code, out.str(), err.str()};
}

inline Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

inline const std::string kAssets = HALFTONE_ASSETS;
inline const std::string kModel = "cifar_resnet20:" + kAssets + "/cifar_resnet20.safetensors";

inline std::string calibration(const char* slice) { return "cifar10:" + kAssets + "/cifar10/calibration.bin" + slice; }
inline std::string validation(const char* slice) { return "cifar10:" + kAssets + "/cifar10/validation.bin" + slice; }
