#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace halftone {

/// What a message costs: latency + bytes / bandwidth (the alpha-beta model).
struct Link {
  double bandwidth_gb_s = 0;  ///< 10^9 bytes a second that a chip sends along one axis of its torus
  double latency_us = 0;      ///< of one message to a neighbour
};

/// Chips on a ring (`y` is 1) or a two-dimensional torus.
struct Torus {
  std::int64_t x = 1;
  std::int64_t y = 1;

  [[nodiscard]] std::int64_t chips() const { return x * y; }
};

enum class TorusSchedule {
  Ring,       ///< one ring through all chips
  TwoStep,    ///< along x, then, each chip with its 1/X, along y
  TwoHalves,  ///< half of the payload along x then y, the other half along y then x, at the same time
};

/// How chips exchange tensors.
struct Network {
  Torus torus{};
  Link link{};
  TorusSchedule schedule = TorusSchedule::TwoStep;
};

std::vector<std::string> validate(const Network& network);

/// Modelled seconds of a reduce-scatter of M = `bytes` on every chip, each message of which goes to a neighbour. With P
/// = X Y chips, bandwidth B and latency a:
///   Ring       (P-1)/P M/B + (P-1) a
///   TwoStep    (X-1)/X M/B + (Y-1)/Y M/(X B) + (X+Y-2) a
///   TwoHalves  two phases, each as long as the slower half: where X = Y, half the bandwidth term of TwoStep and its
///              latency
/// One chip costs nothing. Left out: the sums themselves, and other traffic on the links. Throws `InvalidArgument` for
/// a network that is not valid, or bytes below 0 or not finite; so do all below. Source: Patarasuk and Yuan, Bandwidth
/// optimal all-reduce algorithms, 2009; on tori: Kumar et al., Scale MLPerf-0.6 models on Google TPU-v3 Pods, 2019.
double reduce_scatter_seconds(const Network& network, double bytes);
/// `bytes` are those that every chip has at the end. The same steps backwards: as long as a reduce-scatter.
double all_gather_seconds(const Network& network, double bytes);
/// A reduce-scatter and an all-gather.
double all_reduce_seconds(const Network& network, double bytes);
/// One message to a neighbour.
double message_seconds(const Link& link, double bytes);

}  // namespace halftone
