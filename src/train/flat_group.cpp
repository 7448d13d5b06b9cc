#include "train/flat_group.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "halftone/core/error.hpp"

namespace halftone::internal {

namespace {

std::string named(std::size_t group, std::size_t parameter, const at::Tensor& tensor) {
  return message("parameter ", parameter, " ", tensor.sizes(), " of group ", group);
}

void check(const std::vector<at::Tensor>& parameters, std::size_t group) {
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const at::Tensor& tensor = parameters[i];
    const auto fail = [&](const auto&... what) {
      throw Error(Errc::InvalidArgument, message("sharded update: ", named(group, i, tensor), " ", what...));
    };
    if (!tensor.is_leaf()) fail("is computed from others: only leaves can be updated");
    if (!tensor.is_floating_point() || tensor.layout() != at::kStrided)
      fail("is ", tensor.dtype(), ", ", tensor.layout(), ": dense floating-point tensors are needed");
    if (tensor.dtype() != parameters[0].dtype() || tensor.device() != parameters[0].device())
      fail("is ", tensor.dtype(), " on ", tensor.device(), ", ", named(group, 0, parameters[0]), " is ",
           parameters[0].dtype(), " on ", parameters[0].device(), ": give each type a group of its own");
  }
}

}  // namespace

FlatGroup::FlatGroup(const std::vector<at::Tensor>& list, std::size_t number, int rank, int ranks)
    : number_(number), rank_(rank) {
  check(list, number);
  for (const auto& tensor : list) parameters.push_back({tensor, 0});
  const at::NoGradGuard no_gradient;
  lay_out(ranks);
  cut(rank);
}

void FlatGroup::lay_out(int ranks) {
  std::int64_t size = 0;
  for (auto& parameter : parameters) {
    parameter.offset = size;
    size += parameter.tensor.numel();
  }
  if (size == 0)
    throw Error(Errc::InvalidArgument, message("sharded update: group ", number_, " has no weights: leave it out"));
  const std::int64_t shard = (size + ranks - 1) / ranks;
  const at::TensorOptions plain = parameters[0].tensor.options().requires_grad(false);
  weights = at::zeros({shard * ranks}, plain);
  gradients = at::zeros({shard * ranks}, plain);
  shard_gradients = at::zeros({shard}, plain);
  outgoing = at::zeros({shard}, plain);
  for (auto& [tensor, offset] : parameters) {
    const at::Tensor view = weights.narrow(0, offset, tensor.numel()).view(tensor.sizes());
    view.copy_(tensor);
    tensor.set_data(view);
  }
}

void FlatGroup::cut(int rank) {
  const std::int64_t shard = outgoing.numel();
  const std::int64_t first = shard * rank;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto& [tensor, offset] = parameters[i];
    const std::int64_t begin = std::max(offset, first);
    const std::int64_t end = std::min(offset + tensor.numel(), first + shard);
    if (begin < end) pieces.push_back({weights.narrow(0, begin, end - begin), begin - first, i});
  }
}

void FlatGroup::collect_gradients() {
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto& [tensor, offset] = parameters[i];
    const at::Tensor view = weights.narrow(0, offset, tensor.numel());
    if (tensor.const_data_ptr() != view.const_data_ptr())
      throw Error(Errc::InvalidArgument,
                  message("sharded update: ", named(number_, i, tensor),
                          " is no longer where it was put: move or convert networks before, not after"));
    const at::Tensor gradient = gradients.narrow(0, offset, tensor.numel()).view(tensor.sizes());
    if (tensor.grad().defined())
      gradient.copy_(tensor.grad());
    else
      gradient.zero_();
  }
}

void FlatGroup::attach_gradients() {
  for (auto& piece : pieces)
    piece.weights.mutable_grad() = shard_gradients.narrow(0, piece.offset, piece.weights.numel());
}

void FlatGroup::copy_shard() { outgoing.copy_(weights.narrow(0, outgoing.numel() * rank_, outgoing.numel())); }

}  // namespace halftone::internal
