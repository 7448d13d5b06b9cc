#include "halftone/export/onnx.hpp"

#include <ATen/ATen.h>

#include <limits>
#include <tuple>

#include "export/absorbed_padding.hpp"
#include "export/lowering.hpp"
#include "halftone/core/error.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"
#include "halftone/graph/passes.hpp"

namespace halftone {
namespace {

using namespace internal;

constexpr int kOpset = 18;
constexpr int kOpsetWith4Bit = 21;

template <class Number>
std::span<const std::byte> bytes_of(const std::vector<Number>& numbers) {
  return std::as_bytes(std::span(numbers));
}

/// Two 4-bit elements a byte, the first one low.
std::vector<std::uint8_t> packed(const at::Tensor& integers) {
  const at::Tensor flat = integers.contiguous();
  const auto* const data = flat.const_data_ptr<std::int8_t>();
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>((flat.numel() + 1) / 2));
  for (std::int64_t i = 0; i < flat.numel(); ++i)
    bytes[static_cast<std::size_t>(i / 2)] |= static_cast<std::uint8_t>((data[i] & 0xF) << (i % 2 * 4));
  return bytes;
}

const LoweringTable& lowering_table() {
  static const LoweringTable table = [] {
    LoweringTable made;
    add_elementwise(made);
    add_shapes(made);
    add_layers(made);
    add_logic(made);
    add_pooling(made);
    return made;
  }();
  return table;
}

std::string node_name(const std::string& op, std::size_t index) {
  const auto colon = op.rfind(':');
  return message(colon == std::string::npos ? op : op.substr(colon + 1), '_', index);
}

/// Writes one model; good for one use.
class Exporter {
 public:
  Exporter(const Model& model, const Plan& plan, const Calibration& calibration, const OnnxOptions& options)
      : model_(model),
        plan_(plan),
        calibration_(calibration),
        options_(options),
        padding_(model.graph),
        to_(model, onnx_, options.batch) {}

  std::string run() {
    to_.declare_inputs();
    std::size_t site = 0;
    for (std::size_t i = 0; i < model_.graph.nodes.size(); ++i) {
      const Node& node = model_.graph.nodes[i];
      std::span<const Site> sites;  // of this node
      for (; site < model_.sites.size() && model_.sites[site].node == i; ++site)
        sites = {&model_.sites[site] - sites.size(), sites.size() + 1};
      for (const Site& each : sites) require_float32(each);
      const Site* const found = sites.empty() ? nullptr : &sites.front();
      to_.begin(i, found != nullptr && found->has_weight() ? found->name : node_name(node.op, i));
      if (!node.written.empty()) to_.refuse("it writes in place, and ONNX has no such operators");
      if (padding_.is_absorbed(i)) continue;
      if (found != nullptr && !found->has_weight())
        join(found->kind == SiteKind::Addition ? "Add" : "MatMul", sites);
      else if (node.op == "aten::convolution")
        convolution(found);
      else if (node.op == "aten::linear")
        linear(found);
      else
        other(node);
    }
    to_.declare_outputs();
    if (onnx_.size() > std::numeric_limits<std::int32_t>::max())
      throw Error(Errc::Unsupported, message("ONNX export: the network takes ", onnx_.size(),
                                             " bytes, and one ONNX file holds 2 GiB: lower more precisions"));
    return onnx_.model("halftone", native_used_ ? kOpsetWith4Bit : kOpset, notes());
  }

 private:
  void other(const Node& node) {
    const auto found = lowering_table().find(node.op);
    if (found == lowering_table().end())
      to_.refuse("this operator has no translation: replace it in the network, or run in LibTorch");
    found->second(to_);
  }

  [[nodiscard]] std::size_t index_of(const Site& site) const {
    return static_cast<std::size_t>(&site - model_.sites.data());
  }

  /// Integers stand for float32 alone.
  void require_float32(const Site& site) const {
    const DType dtype = to_.value(site.input).dtype;
    if (plan_[index_of(site)] != k16 && dtype != DType::Float32)
      throw Error(Errc::Unsupported,
                  message("ONNX export: site \"", site.name, "\" computes in ", info(dtype).name,
                          ", and integers have a form for float32 alone: convert the module to float32"));
  }

  [[nodiscard]] bool is_native(int bits) const { return options_.sub_byte == SubByte::Native && bits == 4; }

  /// What the site reads: `source` as it is at 16 bits, else quantized and back, once for all readers of one range.
  OnnxName activation(const Site* site, ValueId source) {
    if (site == nullptr) return to_.in(source);
    const std::size_t index = index_of(*site);
    const int bits = plan_[index].activation_bits;
    if (bits == 16) return to_.in(source);
    const QuantParams p = params(calibration_.sites[index].input.at(bits), bits);
    OnnxName& name = activations_[{source, p.scale, p.zero_point, p.qmax}];
    if (name.empty()) name = quantized(to_.in(source), p, bits);
    return name;
  }

  OnnxName quantized(OnnxName x, const QuantParams& p, int bits) {
    const OnnxName scale = to_.constant(at::full({}, p.scale, at::kFloat));
    OnnxName zero_point;
    if (is_native(bits)) {
      native_used_ = true;
      const std::vector<std::uint8_t> nibble{static_cast<std::uint8_t>(p.zero_point)};
      zero_point = to_.initializer("zero_point", OnnxType::UInt4, {}, bytes_of(nibble));
    } else {
      zero_point = to_.scalar(p.zero_point, DType::UInt8);
      if (bits < 8) {  // saturates at 2^bits - 1 as 8-bit types do at 255
        emulated_used_ = true;
        const auto limit = [&](int q) { return to_.scalar((q - p.zero_point) * double{p.scale}, DType::Float32); };
        x = to_.emit("Clip", {x, limit(p.qmin), limit(p.qmax)});
      }
    }
    return to_.emit("DequantizeLinear", {to_.emit("QuantizeLinear", {x, scale, zero_point}), scale, zero_point});
  }

  /// The weight, transposed where asked for; below 16 bits as integers, once for all sites that store it alike.
  OnnxName weight(const Site* site, ValueId id, bool transpose) {
    const at::Tensor tensor = to_.tensor(id).detach().to(at::kCPU);
    const int bits = site == nullptr ? 16 : plan_[index_of(*site)].weight_bits;
    if (bits == 16) return transpose ? transposed(id, tensor) : to_.in(id);
    const auto [plain, scales] = integer_weight(*site, calibration_.sites[index_of(*site)], bits, tensor);
    const OnnxName scale = to_.constant(scales);
    OnnxName& known = weights_[{id, bits, transpose, scale}];
    if (!known.empty()) return known;
    const at::Tensor integers = (transpose ? plain.t() : plain).contiguous();
    const std::string& name = to_.value(id).name;
    const auto shape = integers.sizes().vec();
    OnnxName stored;
    if (is_native(bits)) {
      native_used_ = true;
      stored = to_.initializer(name + "_int4", OnnxType::Int4, shape, bytes_of(packed(integers)));
    } else {
      emulated_used_ = emulated_used_ || bits < 8;
      stored = to_.initializer(name + "_int8", OnnxType::Int8, shape,
                               {static_cast<const std::byte*>(integers.const_data_ptr()), integers.nbytes()});
    }
    const std::int64_t axis = transpose ? 1 - site->weight_channel_axis : site->weight_channel_axis;
    return known = to_.emit("DequantizeLinear", {stored, scale}, {{"axis", axis}});
  }

  OnnxName transposed(ValueId id, const at::Tensor& tensor) {
    OnnxName& name = transposed_[id];
    if (!name.empty()) return name;
    const at::Tensor data = tensor.t().contiguous();
    const Value& value = to_.value(id);
    return name = to_.initializer(value.name + "_transposed", to_onnx_type(value.dtype), data.sizes().vec(),
                                  {static_cast<const std::byte*>(data.const_data_ptr()), data.nbytes()});
  }

  void convolution(const Site* site) {
    const bool transposed = to_.flag(6);
    if (to_.rank(to_.id(0)) != to_.rank(to_.id(1))) to_.refuse("an input without the batch has no ONNX form");
    const auto [source, padding] = padding_.before(to_.id(0), to_.integers(4));
    std::vector<OnnxName> inputs{activation(site, source)};
    inputs.push_back(to_.value(to_.id(1)).is_data() ? weight(site, to_.id(1), false) : to_.arg(1));
    if (to_.has(2)) inputs.push_back(to_.arg(2));
    OnnxAttributes attributes{
        {"strides", to_.integers(3)}, {"pads", padding}, {"dilations", to_.integers(5)}, {"group", to_.integer(8)}};
    if (transposed) attributes.emplace_back("output_padding", to_.integers(7));
    to_.finish(transposed ? "ConvTranspose" : "Conv", std::move(inputs), std::move(attributes));
  }

  void linear(const Site* site) {
    const OnnxName x = activation(site, to_.id(0));
    if (!to_.value(to_.id(1)).is_data()) to_.refuse("a weight that is computed has no translation");
    const OnnxName right = weight(site, to_.id(1), true);
    if (!to_.has(2)) return to_.finish("MatMul", {x, right});
    to_.finish("Add", {to_.emit("MatMul", {x, right}), to_.arg(2)});
  }

  /// One site an operand.
  void join(const char* op, std::span<const Site> operands) {
    std::vector<OnnxName> inputs;
    for (const Site& operand : operands) inputs.push_back(activation(&operand, operand.input));
    to_.finish(op, std::move(inputs));
  }

  [[nodiscard]] std::map<std::string, std::string> notes() const {
    std::string precisions;
    for (std::size_t i = 0; i < plan_.size(); ++i)
      precisions += message(i > 0 ? " " : "", model_.sites[i].name, '=', plan_[i]);
    std::map<std::string, std::string> notes{{"halftone.precisions", precisions}};
    if (emulated_used_)
      notes["halftone.emulated"] =
          "operands of fewer than 8 bits are held in 8-bit types and use 2^bits levels of them";
    return notes;
  }

  const Model& model_;
  const Plan& plan_;
  const Calibration& calibration_;
  const OnnxOptions& options_;
  const AbsorbedPadding padding_;
  OnnxGraph onnx_;
  Lowering to_;
  std::map<std::tuple<ValueId, float, int, int>, OnnxName> activations_;  ///< quantized and back
  std::map<std::tuple<ValueId, int, bool, OnnxName>, OnnxName> weights_;  ///< quantized and back
  std::map<ValueId, OnnxName> transposed_;                                ///< weights of 16 bits
  bool native_used_ = false;
  bool emulated_used_ = false;
};

}  // namespace

std::string to_onnx(const Model& model, const Plan& plan, const Calibration& calibration, const OnnxOptions& options) {
  require_ranges(model, calibration, plan);
  if (options.batch && *options.batch < 1)
    throw Error(Errc::InvalidArgument, message("ONNX export: the batch is ", *options.batch, ": at least 1 is needed"));
  if (options.batch) require_batch(model.graph, *options.batch);
  const Model fixed = with_length(model, options.length);
  return Exporter(fixed, plan, calibration, options).run();
}

}  // namespace halftone
