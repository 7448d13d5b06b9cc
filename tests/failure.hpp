#pragma once

#include <string>

#include "catch.hpp"
#include "halftone/core/error.hpp"

/// What a failing call said.
struct Failure {
  halftone::Errc code = halftone::Errc::Internal;
  std::string text;
};

/// Code and message of the halftone::Error that `action` throws; fails the test where it throws none, or another.
template <class Action>
Failure failure(Action&& action) {
  try {
    action();
  } catch (const halftone::Error& error) {
    return {error.code(), error.what()};
  }
  FAIL("no error was thrown");
  return {};
}
