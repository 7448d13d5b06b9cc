#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "halftone/engine/engine.hpp"
#include "halftone/evaluate/task.hpp"
#include "halftone/latency/latency_model.hpp"
#include "halftone/models/architecture.hpp"
#include "halftone/order/ordering.hpp"
#include "halftone/search/search.hpp"
#include "halftone/sensitivity/metric.hpp"

namespace halftone {

/// The pieces that can be asked for by name. A value: an embedder adds to it and hands it to the command line.
struct Registry {
  template <class T>
  using Makers = std::map<std::string, std::function<std::shared_ptr<const T>()>>;

  std::vector<ArchitectureFamily> architectures;
  Makers<SensitivityMetric> metrics;
  std::map<std::string, OrderMethod> orders;
  Makers<SearchStrategy> searches;
  Makers<Task> tasks;
  Makers<Engine> engines;
  /// By the word before the colon; called with what stands behind it ("a100" in "roofline:a100") and the batch size.
  std::map<std::string,
           std::function<std::shared_ptr<const LatencyModel>(const std::string& argument, std::int64_t batch)>>
      latencies;

  /// Each throws `NotFound` with the names that exist.
  [[nodiscard]] std::shared_ptr<const SensitivityMetric> metric(const std::string& name) const;
  [[nodiscard]] const OrderMethod& order(const std::string& name) const;
  [[nodiscard]] std::shared_ptr<const SearchStrategy> search(const std::string& name) const;
  [[nodiscard]] std::shared_ptr<const Task> task(const std::string& name) const;
  /// Throws `Unsupported` too, where the engine is not here.
  [[nodiscard]] std::shared_ptr<const Engine> engine(const std::string& name) const;
  /// Takes the whole of "roofline:a100", "table:FILE" or "size".
  [[nodiscard]] std::shared_ptr<const LatencyModel> latency(const std::string& spec, std::int64_t batch) const;
};

/// All that ships.
Registry default_registry();

}  // namespace halftone
