#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace halftone {

/// What kind of thing went wrong. All but `Internal` are the caller's to put right.
enum class Errc {
  InvalidArgument,  ///< an option or argument outside what is allowed
  NotFound,         ///< a file, name or registry entry that does not exist
  BadFile,          ///< a file whose content is malformed or does not fit
  Unsupported,      ///< something Halftone cannot do, named in the message
  NonFinite,        ///< NaN or infinity where a number is needed
  Io,               ///< the operating system refused to read or write
  LostRank,         ///< a process of a distributed job ended, or does not answer
  Internal,         ///< a defect of Halftone itself
};

/// Thrown for caller mistakes and broken input. The text says what was wrong, where, the value seen,
/// what is allowed and what to do.
class Error : public std::runtime_error {
 public:
  Error(Errc code, const std::string& message) : std::runtime_error(message), code_(code) {}
  [[nodiscard]] Errc code() const noexcept { return code_; }

 private:
  Errc code_;
};

/// Concatenates anything that streams; for messages built in headers that must not include fmt.
template <class... Parts>
std::string message(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return std::move(out).str();
}

}  // namespace halftone
