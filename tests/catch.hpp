#pragma once

// The one place that knows where Catch2 lives. LibTorch defines a CHECK of its own, which aborts: it has to come first
// and go.
#if __has_include(<c10/util/Logging.h>)
#include <c10/util/Logging.h>
#undef CHECK
#endif
#include <catch2/catch.hpp>

#include <string>

/// The message of the halftone::Error that `action` throws; fails the test where it throws none.
template <class Action>
std::string error_message(Action&& action) {
  try {
    action();
  } catch (const std::exception& error) {
    return error.what();
  }
  FAIL("no error was thrown");
  return {};
}
