#pragma once

#include <memory>
#include <ostream>

#include "cli/command.hpp"
#include "halftone/distributed/communicator.hpp"

namespace halftone::cli {

/// A command that runs on every rank of a job: rank 0 shows and writes what comes of it. Alone where the environment
/// names no other ranks.
class Job {
 public:
  /// Waits for the other ranks.
  explicit Job(const Context& context);

  /// Null where this process is alone.
  [[nodiscard]] Communicator* communicator() const { return communicator_.get(); }
  [[nodiscard]] bool is_first() const { return !communicator_ || communicator_->rank() == 0; }
  /// The context's on rank 0; elsewhere nothing comes of what is written.
  [[nodiscard]] std::ostream& out() { return is_first() ? context_.out : nowhere_; }
  [[nodiscard]] std::ostream& err() { return is_first() ? context_.err : nowhere_; }

 private:
  const Context& context_;
  std::unique_ptr<Communicator> communicator_;
  std::ostream nowhere_{nullptr};
};

}  // namespace halftone::cli
