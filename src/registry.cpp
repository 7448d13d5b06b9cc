#include "halftone/registry.hpp"

#include <algorithm>
#include <charconv>

#include "halftone/core/error.hpp"
#include "halftone/latency/roofline.hpp"
#include "halftone/latency/size.hpp"
#include "halftone/latency/table.hpp"
#include "halftone/search/bisection.hpp"
#include "halftone/search/frontier.hpp"
#include "halftone/search/greedy.hpp"
#include "halftone/sensitivity/metrics.hpp"
#include "halftone/spatial/spatial_latency.hpp"

namespace halftone {

namespace {

template <class Map>
const auto& find(const Map& map, const std::string& name, const char* what) {
  if (const auto found = map.find(name); found != map.end()) return found->second;
  std::string known;
  for (const auto& [key, value] : map) known += (known.empty() ? "" : ", ") + key;
  throw Error(Errc::NotFound, message("there is no ", what, " \"", name, "\": choose from ", known));
}

std::shared_ptr<const LatencyModel> make_roofline(const std::string& name, std::int64_t batch) {
  std::map<std::string, RooflineDevice> devices;
  for (const auto& device : roofline_devices()) devices.emplace(device.name, device);
  return std::make_shared<RooflineLatency>(find(devices, name, "roofline device"), batch);
}

/// "4:a100": ranks and roofline device.
std::shared_ptr<const LatencyModel> make_spatial(const std::string& argument, std::int64_t batch) {
  constexpr int kMostRanks = 1'000'000;
  const auto colon = argument.find(':');
  const char* const end = argument.data() + std::min(colon, argument.size());
  int ranks = 0;
  const auto [rest, error] = std::from_chars(argument.data(), end, ranks);
  if (colon == std::string::npos || error != std::errc{} || rest != end || ranks < 1 || ranks > kMostRanks)
    throw Error(Errc::InvalidArgument, message("latency model \"spatial:", argument,
                                               "\": spatial:RANKS:DEVICE is needed, "
                                               "with 1 to ",
                                               kMostRanks, " ranks, e.g. spatial:4:a100"));
  const std::string device = argument.substr(colon + 1);
  const auto of_one = make_roofline(device, batch);  // first: it says which devices there are
  return std::make_shared<SpatialLatency>(of_one, ranks, link_of(device));
}

}  // namespace

std::shared_ptr<const SensitivityMetric> Registry::metric(const std::string& name) const {
  return find(metrics, name, "metric")();
}

const OrderMethod& Registry::order(const std::string& name) const { return find(orders, name, "order"); }

std::shared_ptr<const SearchStrategy> Registry::search(const std::string& name) const {
  return find(searches, name, "search")();
}

std::shared_ptr<const Task> Registry::task(const std::string& name) const { return find(tasks, name, "task")(); }

std::shared_ptr<const Engine> Registry::engine(const std::string& name) const {
  return find(engines, name, "engine")();
}

std::shared_ptr<const LatencyModel> Registry::latency(const std::string& spec, std::int64_t batch) const {
  const auto colon = spec.find(':');
  const auto& make = find(latencies, spec.substr(0, colon), "latency model");
  return make(colon == std::string::npos ? "" : spec.substr(colon + 1), batch);
}

Registry default_registry() {
  Registry registry;
  registry.architectures = shipped_architectures();
  registry.metrics["error"] = [] { return make_quantization_error(); };
  registry.metrics["damage"] = [] { return make_damage(); };
  registry.metrics["noise"] = [] { return make_noise(); };
  registry.metrics["interlayer"] = [] { return make_interlayer(); };
  registry.metrics["interlayer-pairs"] = [] { return make_measured_pairs(); };
  registry.metrics["hessian"] = [] { return make_hessian(); };
  registry.metrics["hessian-error"] = [] { return make_hessian_error(); };
  registry.metrics["fisher"] = [] { return make_fisher(); };
  registry.metrics["interlayer-hvp"] = [] { return make_hvp_pairs(); };
  for (const OrderMethod& order : {score_order(), gain_order(), nested_order()}) registry.orders[order.name] = order;
  registry.searches["bisection"] = [] { return std::make_shared<const Bisection>(); };
  registry.searches["greedy"] = [] { return std::make_shared<const Greedy>(); };
  registry.searches["frontier"] = [] { return std::make_shared<const Frontier>(); };
  registry.tasks["top1"] = [] { return make_top_k(1); };
  registry.tasks["sts"] = [] { return make_sentence_similarity(); };
  registry.tasks["squad"] = [] { return make_squad(); };
  registry.tasks["squad_em"] = [] { return make_squad(SquadScore::ExactMatch); };
  registry.tasks["top5"] = [] { return make_top_k(5); };
  registry.engines["libtorch"] = make_libtorch_engine;
  registry.engines["openvino"] = make_openvino_engine;
  registry.latencies["roofline"] = make_roofline;
  registry.latencies["spatial"] = make_spatial;
  registry.latencies["table"] = [](const std::string& path, std::int64_t batch) {
    auto table = std::make_shared<const TableLatency>(TableLatency::read(path));
    if (table->batch() != batch)
      throw Error(Errc::InvalidArgument,
                  message("latency table \"", path, "\" is of batch ", table->batch(), ", batch ", batch,
                          " was asked for: ask for ", table->batch(), ", or bring a table of batch ", batch));
    return table;
  };
  registry.latencies["size"] = [](const std::string&, std::int64_t) { return std::make_shared<const SizeLatency>(); };
  return registry;
}

}  // namespace halftone
