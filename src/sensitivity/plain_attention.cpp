#include <ATen/Context.h>

#include <mutex>

#include "sensitivity/gradients.hpp"

namespace halftone::internal {

namespace {

/// The kernels of attention that the process may take beside the plain one.
struct FusedKernels {
  bool flash;
  bool memory_efficient;
  bool cudnn;
};

void set(const FusedKernels& kernels) {
  at::globalContext().setSDPUseFlash(kernels.flash);
  at::globalContext().setSDPUseMemEfficient(kernels.memory_efficient);
  at::globalContext().setSDPUseCuDNN(kernels.cudnn);
}

/// Of all that live, whatever thread they are on.
std::mutex mutex;
int living = 0;
FusedKernels before{};

}  // namespace

PlainAttention::PlainAttention() {
  const std::lock_guard lock(mutex);
  if (living++ > 0) return;
  const at::Context& context = at::globalContext();
  before = {context.userEnabledFlashSDP(), context.userEnabledMemEfficientSDP(), context.userEnabledCuDNNSDP()};
  set({});
}

PlainAttention::~PlainAttention() {
  const std::lock_guard lock(mutex);
  if (--living == 0) set(before);
}

}  // namespace halftone::internal
