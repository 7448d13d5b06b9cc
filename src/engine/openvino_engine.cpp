#include <ATen/ATen.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <openvino/openvino.hpp>
#include <sstream>

#include "engine/cpu_features.hpp"
#include "export/lowering.hpp"
#include "halftone/core/error.hpp"
#include "halftone/engine/engine.hpp"
#include "halftone/export/onnx.hpp"

namespace halftone {
namespace {

at::ScalarType scalar_type_of(const ov::element::Type& type) {
  static const std::map<std::string, at::ScalarType> types{
      {"f32", at::kFloat}, {"f64", at::kDouble}, {"f16", at::kHalf}, {"bf16", at::kBFloat16}, {"i64", at::kLong},
      {"i32", at::kInt},   {"i16", at::kShort},  {"i8", at::kChar},  {"u8", at::kByte},       {"boolean", at::kBool}};
  const auto found = types.find(type.get_type_name());
  if (found == types.end())
    throw Error(Errc::Unsupported,
                message("OpenVINO gives an output of ", type.get_type_name(), ": LibTorch has no such element type"));
  return found->second;
}

/// A view of the tensor's memory; `tensor` must be contiguous and outlive it.
ov::Tensor view_of(const at::Tensor& tensor, const ov::element::Type& type) {
  const auto sizes = tensor.sizes();
  return {type, ov::Shape(sizes.begin(), sizes.end()), tensor.mutable_data_ptr()};
}

at::Tensor copy_of(const ov::Tensor& tensor) {
  std::vector<std::int64_t> shape;
  for (const auto size : tensor.get_shape()) shape.push_back(static_cast<std::int64_t>(size));
  at::Tensor copy = at::empty(shape, scalar_type_of(tensor.get_element_type()));
  std::memcpy(copy.mutable_data_ptr(), tensor.data(), tensor.get_byte_size());
  return copy;
}

std::vector<std::string> split_at_commas(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

/// The entry of a runtime node's notes; empty where it has none.
std::string note(const ov::RTMap& notes, const char* key) {
  const auto found = notes.find(key);
  return found == notes.end() ? "" : found->second.as<std::string>();
}

class OpenVinoNetwork final : public CompiledNetwork {
 public:
  OpenVinoNetwork(const Model& model, ov::CompiledModel compiled, const CompileOptions& options)
      : CompiledNetwork(model, options.batch), compiled_(std::move(compiled)) {
    for (const Site& site : model.sites)
      if (site.has_weight()) name_layers(model.graph, site);
    for (const auto& name : internal::onnx_input_names(model.graph)) ports_.push_back(port_of(name));
    if (std::count(ports_.begin(), ports_.end(), std::nullopt) + std::ssize(compiled_.inputs()) != std::ssize(ports_))
      throw Error(Errc::Internal, "OpenVINO has inputs that the network has not");
    for (int i = 0; i < options.parallel; ++i) requests_.push_back(compiled_.create_infer_request());
    for (std::size_t i = 0; i < requests_.size(); ++i) free_.push_back(i);
  }

  void repeat() override { infer(requests_[free_.back()]); }  // the one that `run` used last

  [[nodiscard]] std::vector<EngineNode> profile() override {
    std::vector<EngineNode> nodes;
    for (const auto& op : compiled_.get_runtime_model()->get_ordered_ops()) {
      const ov::RTMap& notes = op->get_rt_info();
      EngineNode node{.name = op->get_friendly_name(),
                      .kind = note(notes, "layerType"),
                      .type = note(notes, "runtimePrecision"),
                      .sites = sites_of(note(notes, "originalLayersNames")),
                      .microseconds = 0};
      const std::string time = note(notes, "execTimeMcs");
      if (!time.empty() && time.find_first_not_of("0123456789") == std::string::npos)
        node.microseconds = std::stod(time);
      nodes.push_back(std::move(node));
    }
    return nodes;
  }

 private:
  static void infer(ov::InferRequest& request) {
    try {
      request.infer();
    } catch (const ov::Exception& error) {
      throw Error(Errc::Unsupported,
                  message("OpenVINO cannot run this network: ", error.what(), "\nAnother engine (\"libtorch\") may."));
    }
  }

  /// A request that no other thread uses meanwhile.
  class Claim {
   public:
    explicit Claim(OpenVinoNetwork& network) : network_(network) {
      std::unique_lock lock(network.mutex_);
      network.released_.wait(lock, [&] { return !network.free_.empty(); });
      index_ = network.free_.back();
      network.free_.pop_back();
    }
    ~Claim() {
      {
        const std::lock_guard lock(network_.mutex_);
        network_.free_.push_back(index_);
      }
      network_.released_.notify_one();
    }
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;
    [[nodiscard]] ov::InferRequest& request() const { return network_.requests_[index_]; }

   private:
    OpenVinoNetwork& network_;
    std::size_t index_ = 0;
  };

  std::vector<at::Tensor> do_run(std::span<const at::Tensor> inputs) override {
    const Claim claim(*this);
    ov::InferRequest& request = claim.request();
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (!ports_[i]) continue;
      const ov::Tensor own = request.get_input_tensor(*ports_[i]);
      view_of(inputs[i], own.get_element_type()).copy_to(own);
    }
    infer(request);
    std::vector<at::Tensor> outputs;
    for (std::size_t i = 0; i < compiled_.outputs().size(); ++i)
      outputs.push_back(copy_of(request.get_output_tensor(i)));
    return outputs;
  }

  /// Where OpenVINO takes the model's input `name`; it drops those that nothing reads.
  [[nodiscard]] std::optional<std::size_t> port_of(const std::string& name) const {
    const auto& inputs = compiled_.inputs();
    for (std::size_t port = 0; port < inputs.size(); ++port)
      if (inputs[port].get_names().contains(name)) return port;
    return std::nullopt;
  }

  /// A layer is called after what the ONNX node makes: the site, its product, or an output of the graph.
  void name_layers(const Graph& graph, const Site& site) {
    site_of_layer_[site.name] = site.name;
    site_of_layer_[site.name + "/MatMul"] = site.name;
    for (std::size_t i = 0; i < graph.outputs.size(); ++i)
      if (graph.outputs[i] == graph.nodes[site.node].outputs[0].ids[0])
        site_of_layer_[internal::onnx_output_name(graph, i)] = site.name;
  }

  /// `layers` are the ONNX nodes that became one, between commas.
  [[nodiscard]] std::vector<std::string> sites_of(const std::string& layers) const {
    std::vector<std::string> sites;
    for (const auto& layer : split_at_commas(layers)) {
      const auto found = site_of_layer_.find(layer);
      if (found != site_of_layer_.end() && std::find(sites.begin(), sites.end(), found->second) == sites.end())
        sites.push_back(found->second);
    }
    return sites;
  }

  ov::CompiledModel compiled_;
  std::map<std::string, std::string> site_of_layer_;
  std::vector<std::optional<std::size_t>> ports_;  ///< by input of the model
  std::vector<ov::InferRequest> requests_;
  std::vector<std::size_t> free_;  ///< indices of requests that nobody uses
  std::mutex mutex_;
  std::condition_variable released_;
};

/// Whether OpenVINO would compute wrong numbers, as 2026.4.1 does on one thread where products without a bias follow
/// each other in integers: it makes one kernel of them.
bool fuses_wrongly(const Model& model, const Plan& plan) {
  for (std::size_t i = 0; i < plan.size(); ++i)
    if (model.sites[i].kind == SiteKind::Linear && in_integers(plan[i]) &&
        std::holds_alternative<None>(model.graph.nodes[model.sites[i].node].arguments[2]))
      return true;
  return false;
}

class OpenVinoEngine final : public Engine {
 public:
  [[nodiscard]] std::string name() const override { return "openvino"; }
  /// "2026.4.1" of "2026.4.1-22982-e213a147257-releases/2026/4".
  [[nodiscard]] std::string version() const override {
    const std::string build = ov::get_openvino_version().buildNumber;
    return build.substr(0, build.find('-'));
  }

  void require(FloatType type) const override {
    if (type == FloatType::Float32) return;
    const auto known = core_.get_property("CPU", ov::device::capabilities);
    if (std::find(known.begin(), known.end(), ov::device::capability::BF16) == known.end())
      throw Error(
          Errc::Unsupported,
          "OpenVINO has no bfloat16 kernels for this CPU (it needs avx512_bf16 or amx_bf16): give --float f32 (in C++ "
          "FloatType::Float32), or work with a modelled latency (--latency roofline:DEVICE)");
  }
  void require_integers() const override { internal::require_int8_dot_products(); }

 private:
  [[nodiscard]] std::unique_ptr<CompiledNetwork> do_compile(const Model& model, const Plan& plan,
                                                            const Calibration& calibration,
                                                            const CompileOptions& options) const override {
    const std::string onnx = to_onnx(model, plan, calibration, {.batch = options.batch});
    try {
      const auto network = core_.read_model(onnx, ov::Tensor());
      const bool narrow = options.float_type == FloatType::BFloat16;
      ov::AnyMap properties{ov::hint::performance_mode(options.parallel > 1 ? ov::hint::PerformanceMode::THROUGHPUT
                                                                            : ov::hint::PerformanceMode::LATENCY),
                            ov::hint::inference_precision(narrow ? ov::element::bf16 : ov::element::f32),
                            ov::inference_num_threads(options.threads * options.parallel),
                            ov::num_streams(options.parallel),
                            ov::hint::enable_cpu_pinning(false),
                            ov::hint::dynamic_quantization_group_size(0),
                            ov::enable_profiling(options.profile)};
      if (fuses_wrongly(model, plan)) properties.emplace("SNIPPETS_MODE", "DISABLE");
      return std::make_unique<OpenVinoNetwork>(model, core_.compile_model(network, "CPU", properties), options);
    } catch (const ov::Exception& error) {
      throw Error(Errc::Unsupported, message("OpenVINO does not take this network: ", error.what(),
                                             "\nAnother engine (\"libtorch\") may."));
    }
  }

  mutable ov::Core core_;
};

}  // namespace

std::shared_ptr<const Engine> make_openvino_engine() {
  try {
    return std::make_shared<const OpenVinoEngine>();
  } catch (const std::exception& error) {
    throw Error(Errc::Unsupported, message("OpenVINO cannot be loaded: ", error.what(),
                                           "\nIs its folder still where it was when Halftone was built?"));
  }
}

bool has_openvino() { return true; }

}  // namespace halftone
