#include "halftone/train/batch_norm.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "halftone/core/error.hpp"

namespace halftone {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// All but channels.
std::vector<std::int64_t> reduced_dims(const at::Tensor& input) {
  std::vector<std::int64_t> dims{0};
  for (std::int64_t d = 2; d < input.dim(); ++d) dims.push_back(d);
  return dims;
}

/// [channels] as [1, channels, 1, ...].
at::Tensor along_channels(const at::Tensor& vector, const at::Tensor& input) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(input.dim()), 1);
  shape[1] = vector.numel();
  return vector.to(input.scalar_type()).view(shape);
}

at::Tensor in_working_type(const at::Tensor& x) {
  return at::isReducedFloatingType(x.scalar_type()) ? x.to(at::kFloat) : x;
}

/// Of all ranks' samples; float64 [channels].
struct Statistics {
  double count = 0;
  at::Tensor mean;
  at::Tensor variance;  ///< biased
};

Statistics joint_statistics(const at::Tensor& x, Communicator& communicator) {
  const std::int64_t channels = x.size(1);
  const double count = static_cast<double>(x.numel()) / static_cast<double>(channels);
  const at::Tensor own = at::zeros({1, 2 * channels + 1}, x.options().dtype(at::kDouble));
  if (count > 0) {
    const auto [variance, mean] = at::var_mean(x, reduced_dims(x), /*unbiased=*/false);
    own[0].narrow(0, 0, channels).copy_(mean);
    own[0].narrow(0, channels, channels).copy_(variance).mul_(count);
    own[0][2 * channels].fill_(count);
  }
  const at::Tensor all = at::empty({communicator.size(), 2 * channels + 1}, own.options());
  communicator.all_gather(own, all);
  const at::Tensor counts = all.narrow(1, 2 * channels, 1);
  const at::Tensor means = all.narrow(1, 0, channels);
  Statistics joint{.count = counts.sum().item<double>()};
  if (joint.count < 2)
    throw Error(Errc::InvalidArgument, message("batch norm: ", joint.count, " values a channel on all ",
                                               communicator.size(), " ranks together: training needs at least 2"));
  joint.mean = (counts * means).sum(0) / joint.count;
  joint.variance = (all.narrow(1, channels, channels) + counts * (means - joint.mean).square()).sum(0) / joint.count;
  return joint;
}

void move_running(const BatchNormTensors& tensors, const Statistics& joint, double momentum) {
  const auto move = [&](const at::Tensor& running, const at::Tensor& now) {
    if (running.defined()) running.mul_(1 - momentum).add_(now.to(running.scalar_type()), momentum);
  };
  move(tensors.running_mean, joint.mean);
  move(tensors.running_var, joint.variance * (joint.count / (joint.count - 1)));
}

struct Normalize : torch::autograd::Function<Normalize> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& weight,
                            const at::Tensor& bias, const Statistics& joint, double epsilon,
                            Communicator& communicator) {
    const at::Tensor x = in_working_type(input);
    const at::Tensor inverse = (joint.variance + epsilon).rsqrt();
    context->save_for_backward({input, weight, joint.mean, inverse});
    // An address: `communicator` is borrowed until backward is done.
    context->saved_data["communicator"] = reinterpret_cast<std::int64_t>(&communicator);
    context->saved_data["count"] = joint.count;
    at::Tensor y = (x - along_channels(joint.mean, x)) * along_channels(inverse, x);
    if (weight.defined()) y = y * along_channels(weight, x) + along_channels(bias, x);
    return y.to(input.scalar_type());
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients);
};

variable_list Normalize::backward(AutogradContext* context, const variable_list& gradients) {
  if (at::GradMode::is_enabled())
    throw Error(Errc::Unsupported,
                "batch norm over ranks has no second derivatives: call backward without create_graph");
  const auto saved = context->get_saved_variables();
  const at::Tensor x = in_working_type(saved[0]);
  const at::Tensor& weight = saved[1];
  const at::Tensor dy = in_working_type(gradients[0]);
  const at::Tensor inverse = along_channels(saved[3], x);
  const at::Tensor normal = (x - along_channels(saved[2], x)) * inverse;
  const auto dims = reduced_dims(x);
  // Sums over no sample are 0, as they should be.
  const at::Tensor sums = at::stack({dy.sum(dims, false, at::kDouble), (dy * normal).sum(dims, false, at::kDouble)});
  variable_list result(6);
  if (weight.defined()) {
    result[1] = sums[1].to(weight.scalar_type());
    result[2] = sums[0].to(weight.scalar_type());
  }
  if (!context->needs_input_grad(0)) return result;
  auto& communicator = *reinterpret_cast<Communicator*>(context->saved_data["communicator"].toInt());
  const at::Tensor means = sums.clone();
  communicator.all_reduce(means);
  means.div_(context->saved_data["count"].toDouble());
  at::Tensor dx = (dy - along_channels(means[0], x) - normal * along_channels(means[1], x)) * inverse;
  if (weight.defined()) dx = dx * along_channels(weight, x);
  result[0] = dx.to(saved[0].scalar_type());
  return result;
}

void check(const at::Tensor& input, const BatchNormTensors& tensors) {
  if (input.dim() < 2 || !input.is_floating_point())
    throw Error(Errc::InvalidArgument, message("batch norm: the input is ", input.dtype(), " ", input.sizes(),
                                               ": floating-point [samples, channels, ...] is needed"));
  if (input.size(1) == 0)
    throw Error(Errc::InvalidArgument, message("batch norm: ", input.sizes(), " has no channels"));
  if (tensors.weight.defined() != tensors.bias.defined())
    throw Error(Errc::InvalidArgument, "batch norm: give weight and bias together, or neither");
  const auto fits = [&](const char* name, const at::Tensor& tensor) {
    if (tensor.defined() && (tensor.dim() != 1 || tensor.size(0) != input.size(1)))
      throw Error(Errc::InvalidArgument, message("batch norm: ", name, " is ", tensor.sizes(), " for an input of ",
                                                 input.sizes(), ": [", input.size(1), "] is needed"));
  };
  fits("weight", tensors.weight);
  fits("bias", tensors.bias);
  fits("running_mean", tensors.running_mean);
  fits("running_var", tensors.running_var);
}

}  // namespace

at::Tensor distributed_batch_norm(const at::Tensor& input, const BatchNormTensors& tensors,
                                  const BatchNormOptions& options, Communicator& communicator) {
  check(input, tensors);
  Statistics joint;
  {
    const at::NoGradGuard no_gradient;
    joint = joint_statistics(in_working_type(input.detach()), communicator);
    move_running(tensors, joint, options.momentum);
  }
  return Normalize::apply(input, tensors.weight, tensors.bias, joint, options.epsilon, communicator);
}

std::unique_ptr<Communicator> neighbours(Communicator& communicator, int size) {
  if (size < 1 || communicator.size() % size != 0)
    throw Error(Errc::InvalidArgument,
                message("groups of neighbours: ", communicator.size(), " ranks do not make groups of ", size,
                        ": give a divisor of ", communicator.size()));
  return communicator.split(communicator.rank() / size);
}

}  // namespace halftone
