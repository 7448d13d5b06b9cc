#pragma once

#include <memory>
#include <ostream>

#include "cli/command.hpp"
#include "core/openmp_threads.hpp"
#include "halftone/distributed/communicator.hpp"

namespace halftone::cli {

/// A command that runs on every rank of a job: rank 0 shows and writes what comes of it. Alone where the environment
/// names no other ranks.
class Job {
 public:
  /// Waits for the other ranks. As long as it lives, the calling thread has the options' threads for LibTorch: ranks
  /// that share a host's cores and each take all of them wait for one another in every small operator.
  Job(const Context& context, const CommonOptions& options);

  /// Null where this process is alone.
  [[nodiscard]] Communicator* communicator() const { return communicator_.get(); }
  [[nodiscard]] bool is_first() const { return !communicator_ || communicator_->rank() == 0; }
  /// The context's on rank 0; elsewhere nothing comes of what is written.
  [[nodiscard]] std::ostream& out() { return is_first() ? context_.out : nowhere_; }
  [[nodiscard]] std::ostream& err() { return is_first() ? context_.err : nowhere_; }

 private:
  const Context& context_;
  internal::OpenMpThreads threads_;
  std::unique_ptr<Communicator> communicator_;
  std::ostream nowhere_{nullptr};
};

}  // namespace halftone::cli
