#include "halftone/train/gradient_buckets.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/variable.h>

#include <functional>
#include <set>

#include "halftone/core/options.hpp"

namespace halftone {

namespace {

using torch::autograd::variable_list;

struct Call final : torch::autograd::FunctionPostHook {
  explicit Call(std::function<void()> call) : call_(std::move(call)) {}
  variable_list operator()(const variable_list& outputs, const variable_list& /*inputs*/) override {
    call_();
    return outputs;
  }

 private:
  std::function<void()> call_;
};

void check(const std::vector<at::Tensor>& parameters) {
  std::set<const void*> seen;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto fail = [&](const char* what) {
      throw Error(Errc::InvalidArgument,
                  message("gradient buckets: parameter ", i, " ", parameters[i].sizes(), " ", what));
    };
    if (!parameters[i].is_leaf() || !parameters[i].requires_grad())
      fail("takes no gradient: only leaves that require one can be averaged");
    if (!seen.insert(parameters[i].unsafeGetTensorImpl()).second) fail("is there twice: give each tensor once");
  }
}

}  // namespace

struct GradientBuckets::Bucket {
  at::Tensor buffer;
  std::int64_t size = 0;
  std::vector<std::size_t> parameters;
  std::size_t missing = 0;  ///< gradients that this pass has not yielded yet
  std::unique_ptr<PendingWork> work;
};

/// On the node that accumulates a parameter's gradient, which lives as long as somebody holds it.
struct GradientBuckets::Hook {
  c10::intrusive_ptr<torch::autograd::Node> node;
  std::uintptr_t key = 0;
};

std::vector<std::string> validate(const GradientBucketsOptions& options) {
  std::vector<std::string> violations;
  if (options.first_bytes < 1)
    violations.push_back(message("first_bytes is ", options.first_bytes, ": at least 1 is needed"));
  if (options.bytes < 1) violations.push_back(message("bytes is ", options.bytes, ": at least 1 is needed"));
  return violations;
}

GradientBuckets::GradientBuckets(Communicator& communicator, const std::vector<at::Tensor>& parameters,
                                 const GradientBucketsOptions& options)
    : communicator_(communicator), parameters_(parameters), places_(parameters.size()) {
  require_valid("options of gradient buckets", validate(options));
  check(parameters);
  fill_buckets(options);
  share_layout();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    auto node = torch::autograd::impl::grad_accumulator(parameters[i]);
    const auto key = node->add_post_hook(std::make_unique<Call>([this, i] { on_gradient(i); }));
    hooks_.push_back({std::move(node), key});
  }
}

GradientBuckets::~GradientBuckets() {
  for (auto& hook : hooks_) hook.node->del_post_hook(hook.key);
}

void GradientBuckets::fill_buckets(const GradientBucketsOptions& options) {
  for (std::size_t i = parameters_.size(); i-- > 0;) {
    const at::Tensor& tensor = parameters_[i];
    const auto fits = [&](const Bucket& bucket) {
      const at::Tensor& other = parameters_[bucket.parameters.front()];
      const std::int64_t limit = buckets_.size() == 1 ? options.first_bytes : options.bytes;
      return other.dtype() == tensor.dtype() && other.device() == tensor.device() &&
             (bucket.size + tensor.numel()) * static_cast<std::int64_t>(tensor.element_size()) <= limit;
    };
    if (buckets_.empty() || !fits(buckets_.back())) buckets_.emplace_back();
    Bucket& bucket = buckets_.back();
    places_[i] = {buckets_.size() - 1, bucket.size};
    bucket.size += tensor.numel();
    bucket.parameters.push_back(i);
  }
  for (auto& bucket : buckets_) {
    bucket.buffer = at::empty({bucket.size}, parameters_[bucket.parameters.front()].options().requires_grad(false));
    bucket.missing = bucket.parameters.size();
  }
}

void GradientBuckets::share_layout() {
  std::string layout;
  for (const auto& bucket : buckets_) layout += message(bucket.size, " ", bucket.buffer.dtype(), "; ");
  const auto layouts = communicator_.gather_bytes(layout);
  for (std::size_t rank = 0; rank < layouts.size(); ++rank)
    if (layouts[rank] != layouts[0])
      throw Error(Errc::InvalidArgument,
                  message("gradient buckets: rank ", rank, " has buckets of ", layouts[rank], "rank 0 of ", layouts[0],
                          "all ranks need the same parameters and options"));
}

void GradientBuckets::on_gradient(std::size_t parameter) {
  if (!sends_) return;
  if (places_[parameter].ready)
    throw Error(Errc::InvalidArgument,
                message("gradient buckets: parameter ", parameter,
                        " got a second gradient: call finish() after every backward pass, or hold what accumulate() "
                        "returns during all but the last"));
  collect(parameter);
  start_next();
}

void GradientBuckets::collect(std::size_t parameter) {
  const at::NoGradGuard no_gradient;
  const at::Tensor& gradient = parameters_[parameter].grad();
  if (gradient.defined())
    slice(parameter).copy_(gradient);
  else
    slice(parameter).zero_();
  places_[parameter].ready = true;
  --buckets_[places_[parameter].bucket].missing;
}

void GradientBuckets::start_next() {
  for (; started_ < buckets_.size() && buckets_[started_].missing == 0; ++started_)
    buckets_[started_].work = communicator_.start_all_reduce(buckets_[started_].buffer);
}

at::Tensor GradientBuckets::slice(std::size_t parameter) const {
  const auto& [bucket, offset, ready] = places_[parameter];
  const at::Tensor& tensor = parameters_[parameter];
  return buckets_[bucket].buffer.narrow(0, offset, tensor.numel()).view(tensor.sizes());
}

void GradientBuckets::finish() {
  const at::NoGradGuard no_gradient;
  for (std::size_t i = parameters_.size(); i-- > 0;)
    if (!places_[i].ready) collect(i);
  start_next();
  for (auto& bucket : buckets_) {
    bucket.work->wait();
    bucket.work.reset();
    bucket.buffer.div_(communicator_.size());
    for (const std::size_t i : bucket.parameters) {
      at::Tensor& gradient = parameters_[i].mutable_grad();
      gradient.defined() ? gradient.copy_(slice(i)) : gradient = slice(i).clone();
      places_[i].ready = false;
    }
    bucket.missing = bucket.parameters.size();
  }
  started_ = 0;
}

std::vector<std::int64_t> GradientBuckets::bucket_sizes() const {
  std::vector<std::int64_t> sizes;
  for (const auto& bucket : buckets_) sizes.push_back(bucket.size);
  return sizes;
}

}  // namespace halftone
