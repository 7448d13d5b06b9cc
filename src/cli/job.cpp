#include "cli/job.hpp"

namespace halftone::cli {

Job::Job(const Context& context, const CommonOptions& options)
    : context_(context),
      threads_(thread_count(options)),
      communicator_(context.join_ranks ? context.join_ranks() : nullptr) {
  if (communicator_ && communicator_->size() == 1) communicator_.reset();
}

}  // namespace halftone::cli
