#pragma once

#include <cstddef>
#include <string>

#include "hostile/readers.hpp"

namespace hostile {

/// How one file was met.
struct Outcome {
  bool is_read = false;    ///< or refused by halftone::Error
  std::string failure{};   ///< what went wrong otherwise: another exception, or memory
  std::string refusal{};   ///< the message of halftone::Error
  std::size_t memory = 0;  ///< bytes allocated at most, at one time
  double seconds = 0;
};

/// From now on, what ends the process (a sanitizer, or a file that takes more than five seconds of processor time)
/// first prints the line that is given to `read_guarded`, and writes the file into the current folder.
void install_guard();

/// Lets `read` read `file`, which `line` describes. It may allocate `memory` bytes and 128 times the file's size.
Outcome read_guarded(void (*read)(Bytes), const std::string& file, const std::string& line, std::size_t memory);

/// Writes a file that failed into the current folder and gives its name.
std::string write_failed(const std::string& file, const std::string& line);

}  // namespace hostile
