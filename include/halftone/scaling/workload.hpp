#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace halftone {

/// A convolution of square images, as far as its cost goes.
struct ConvolutionShape {
  std::int64_t in_channels = 0;
  std::int64_t out_channels = 0;
  std::int64_t kernel = 1;
  std::int64_t stride = 1;
  std::int64_t input_size = 1;   ///< rows and columns
  std::int64_t output_size = 1;  ///< rows and columns

  [[nodiscard]] double macs() const {
    return static_cast<double>(in_channels * out_channels * kernel * kernel) *
           static_cast<double>(output_size * output_size);
  }
  /// Rows of the input that a part of the output needs of its neighbours: (kernel - stride), and never below 0.
  [[nodiscard]] std::int64_t halo_rows() const { return kernel > stride ? kernel - stride : 0; }
};

/// A network, its data and its optimizer, as far as the time to train it goes.
struct Workload {
  std::string name;
  std::string source;       ///< where the figures come from
  double parameters = 0;    ///< that are trained
  double forward_macs = 0;  ///< of one sample; training takes three times as many
  double training_samples = 0;
  double evaluation_samples = 0;
  /// Bytes that the optimizer reads and writes in memory for one parameter: float32 weight, gradient and moments.
  double update_bytes = 0;
  /// Where samples can be split by rows; the other layers' macs are never split. May be empty.
  std::vector<ConvolutionShape> convolutions{};
};

std::vector<std::string> validate(const Workload& workload);

/// The networks of MLPerf training 0.6, closed division, as Google trained them; figures and sources in workloads.cpp.
Workload resnet50_workload();         ///< images of 224 x 224, LARS
Workload ssd300_workload();           ///< ResNet-34 behind images of 300 x 300, momentum SGD
Workload transformer_big_workload();  ///< packed rows of 256 source and 256 target tokens, Adam
Workload gnmt_workload();             ///< sentences of 30 source and 30 target tokens (assumed), Adam

}  // namespace halftone
