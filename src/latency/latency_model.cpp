#include "halftone/latency/latency_model.hpp"

#include <utility>

namespace halftone {
namespace {

using Cost = std::function<double(std::span<const Site>, const Plan&)>;

class FunctionLatency final : public LatencyModel {
 public:
  FunctionLatency(std::string name, std::string unit, Cost cost, std::int64_t batch)
      : name_(std::move(name)), unit_(std::move(unit)), cost_(std::move(cost)), batch_(batch) {}

  [[nodiscard]] std::string name() const override { return name_; }
  [[nodiscard]] std::string origin() const override {
    return message("modelled by \"", name_, "\", not measured, batch ", batch_);
  }
  [[nodiscard]] std::string unit() const override { return unit_; }
  [[nodiscard]] std::int64_t batch() const override { return batch_; }

 private:
  [[nodiscard]] double do_estimate(std::span<const Site> sites, const Plan& plan) const override {
    return cost_(sites, plan);
  }

  std::string name_;
  std::string unit_;
  Cost cost_;
  std::int64_t batch_;
};

}  // namespace

std::unique_ptr<LatencyModel> make_latency_model(std::string name, std::string unit, Cost cost, std::int64_t batch) {
  if (!cost) throw Error(Errc::InvalidArgument, message("latency model ", name, " has no function"));
  return std::make_unique<FunctionLatency>(std::move(name), std::move(unit), std::move(cost), batch);
}

}  // namespace halftone
