#include "halftone/scaling/collectives.hpp"

#include <algorithm>
#include <cmath>

#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"
#include "scaling/checks.hpp"

namespace halftone {
namespace {

void require_bytes(double bytes) {
  if (!std::isfinite(bytes) || bytes < 0)
    throw Error(Errc::InvalidArgument, message("a collective of ", bytes, " bytes: a number from 0 is needed"));
}

/// What share of its payload a chip sends in a reduce-scatter on a ring of `chips`.
double sent_share(std::int64_t chips) { return static_cast<double>(chips - 1) / static_cast<double>(chips); }

/// Of a reduce-scatter: how often the payload passes the slowest axis, and how many messages follow each other.
struct Steps {
  double payloads = 0;
  double messages = 0;
};

Steps reduce_scatter_steps(const Torus& torus, TorusSchedule schedule) {
  const auto x = static_cast<double>(torus.x);
  const auto y = static_cast<double>(torus.y);
  const double along_x = sent_share(torus.x);
  const double along_y = sent_share(torus.y);
  switch (schedule) {
    case TorusSchedule::Ring:
      return {sent_share(torus.chips()), x * y - 1};
    case TorusSchedule::TwoStep:
      return {along_x + along_y / x, x + y - 2};
    case TorusSchedule::TwoHalves:
      return {(std::max(along_x, along_y) + std::max(along_y / x, along_x / y)) / 2, 2 * (std::max(x, y) - 1)};
  }
  throw Error(Errc::InvalidArgument, "the schedule of a network is none of those that there are");
}

}  // namespace

std::vector<std::string> internal::validate_link(const Link& link, const std::string& name) {
  std::vector<std::string> violations;
  if (!is_positive(link.bandwidth_gb_s))
    violations.push_back(message(name, ".bandwidth_gb_s is ", link.bandwidth_gb_s, ": a positive number is needed"));
  if (!std::isfinite(link.latency_us) || link.latency_us < 0)
    violations.push_back(message(name, ".latency_us is ", link.latency_us, ": a number from 0 is needed"));
  return violations;
}

std::vector<std::string> internal::validate_torus(const Torus& torus) {
  constexpr std::int64_t kMost = 1 << 20;
  std::vector<std::string> violations;
  if (torus.x < 1 || torus.x > kMost || torus.y < 1 || torus.y > kMost)
    violations.push_back(message("torus is ", torus.x, " x ", torus.y, ": both sides are from 1 to ", kMost));
  return violations;
}

std::vector<std::string> validate(const Network& network) {
  std::vector<std::string> violations = internal::validate_torus(network.torus);
  for (auto& violation : internal::validate_link(network.link, "link")) violations.push_back(std::move(violation));
  return violations;
}

double reduce_scatter_seconds(const Network& network, double bytes) {
  require_valid("network", validate(network));
  require_bytes(bytes);
  const auto [payloads, messages] = reduce_scatter_steps(network.torus, network.schedule);
  return payloads * bytes / (network.link.bandwidth_gb_s * 1e9) + messages * network.link.latency_us * 1e-6;
}

double all_gather_seconds(const Network& network, double bytes) { return reduce_scatter_seconds(network, bytes); }

double all_reduce_seconds(const Network& network, double bytes) { return 2 * reduce_scatter_seconds(network, bytes); }

double message_seconds(const Link& link, double bytes) {
  require_valid("link", internal::validate_link(link, "link"));
  require_bytes(bytes);
  return bytes / (link.bandwidth_gb_s * 1e9) + link.latency_us * 1e-6;
}

}  // namespace halftone
