#include "halftone/train/sharded_update.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/optim/lbfgs.h>
#include <torch/serialize/archive.h>

#include <set>
#include <sstream>
#include <typeinfo>

#include "halftone/core/error.hpp"
#include "halftone/train/norm_reducer.hpp"
#include "train/flat_group.hpp"

namespace halftone {

struct ShardedUpdate::Group : internal::FlatGroup {
  using FlatGroup::FlatGroup;
};

namespace {

using ParamGroups = std::vector<torch::optim::OptimizerParamGroup>;

void check_distinct(const ParamGroups& groups) {
  std::set<const void*> seen;
  for (std::size_t g = 0; g < groups.size(); ++g)
    for (std::size_t i = 0; i < groups[g].params().size(); ++i)
      if (!seen.insert(groups[g].params()[i].unsafeGetTensorImpl()).second)
        throw Error(Errc::InvalidArgument, message("sharded update: parameter ", i, " of group ", g,
                                                   " is there twice: give each tensor once"));
}

/// Pieces in place of whole parameters.
template <class Groups>
ParamGroups over_pieces(const ParamGroups& given, const Groups& groups) {
  ParamGroups result;
  for (std::size_t g = 0; g < given.size(); ++g) {
    std::vector<at::Tensor> pieces;
    for (const auto& piece : groups[g].pieces) pieces.push_back(piece.weights);
    result.emplace_back(std::move(pieces));
    if (given[g].has_options()) result.back().set_options(given[g].options().clone());
  }
  return result;
}

}  // namespace

std::int64_t optimizer_state_bytes(const torch::optim::Optimizer& optimizer) {
  std::int64_t bytes = 0;
  for (const auto& [key, state] : optimizer.state()) {
    torch::serialize::OutputArchive out;
    state->serialize(out);
    std::stringstream stream;
    out.save_to(stream);
    torch::serialize::InputArchive in;
    in.load_from(stream);
    for (const auto& name : in.keys()) {
      c10::IValue value;
      in.read(name, value);
      if (value.isTensor()) bytes += static_cast<std::int64_t>(value.toTensor().nbytes());
    }
  }
  return bytes;
}

ShardedUpdate::ShardedUpdate(Communicator& communicator, const ParamGroups& groups, const OptimizerFactory& make)
    : communicator_(communicator) {
  check_distinct(groups);
  std::vector<std::int64_t> whole;
  for (const auto& group : groups) {
    const auto& flat = groups_.emplace_back(group.params(), groups_.size(), communicator.rank(), communicator.size());
    for (const auto& piece : flat.pieces) whole.push_back(tensors_ + static_cast<std::int64_t>(piece.parameter));
    tensors_ += std::ssize(flat.parameters);
  }
  whole_ = at::tensor(whole, at::kLong);
  if (!groups_.empty()) whole_ = whole_.to(groups_[0].weights.device());

  optimizer_ = make(over_pieces(groups, groups_));
  if (dynamic_cast<const torch::optim::LBFGS*>(optimizer_.get()) != nullptr)
    throw Error(Errc::Unsupported,
                "sharded update: LBFGS evaluates the loss several times a step and needs all of every tensor: take an "
                "optimizer whose update works element by element, or update without shards");
  if (auto* user = dynamic_cast<UsesNorms*>(optimizer_.get()))
    user->set_norm_reducer([this](const at::Tensor& sums) { reduce_norms(sums); });
  share_layout();
}

ShardedUpdate::~ShardedUpdate() = default;

void ShardedUpdate::share_layout() {
  const auto& optimizer = *optimizer_;
  std::string layout = message("optimizer ", typeid(optimizer).name());
  for (const auto& group : groups_) {
    layout += message("; ", group.weights.dtype(), ":");
    for (const auto& parameter : group.parameters) layout += message(" ", parameter.tensor.sizes());
  }
  const auto layouts = communicator_.gather_bytes(layout);
  for (std::size_t rank = 0; rank < layouts.size(); ++rank)
    if (layouts[rank] != layouts[0])
      throw Error(Errc::InvalidArgument, message("sharded update: rank ", rank, " has \"", layouts[rank],
                                                 "\", rank 0 has \"", layouts[0], "\": all ranks need the same"));
  for (const auto& group : groups_) communicator_.broadcast(group.weights);
}

void ShardedUpdate::reduce_norms(const at::Tensor& sums) {
  at::Tensor all = at::zeros({sums.size(0), tensors_}, sums.options().device(whole_.device()));
  all.index_copy_(1, whole_, sums.to(whole_.device()));
  communicator_.all_reduce(all);
  sums.copy_(all.index_select(1, whole_));
}

void ShardedUpdate::step() {
  const at::NoGradGuard no_gradient;
  for (auto& group : groups_) {
    group.collect_gradients();
    communicator_.reduce_scatter(group.gradients, group.shard_gradients);
    group.shard_gradients.div_(communicator_.size());
    group.attach_gradients();
  }
  optimizer_->step();
  for (auto& group : groups_) {
    group.copy_shard();
    communicator_.all_gather(group.outgoing, group.weights);
  }
}

void ShardedUpdate::zero_grad() {
  for (auto& group : groups_)
    for (auto& parameter : group.parameters) parameter.tensor.mutable_grad().reset();
}

}  // namespace halftone
