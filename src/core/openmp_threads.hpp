#pragma once

#include <ATen/Parallel.h>

namespace halftone::internal {

/// `count` OpenMP threads for the calling thread, and as many as before afterwards. Other threads keep theirs.
class OpenMpThreads {
 public:
  explicit OpenMpThreads(int count) : count_(count), before_(at::get_num_threads()) {
    if (before_ != count_) at::set_num_threads(count_);
  }
  ~OpenMpThreads() {
    if (before_ != count_) at::set_num_threads(before_);
  }
  OpenMpThreads(const OpenMpThreads&) = delete;
  OpenMpThreads& operator=(const OpenMpThreads&) = delete;

 private:
  int count_;
  int before_;
};

}  // namespace halftone::internal
