#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "halftone/distributed/communicator.hpp"

namespace halftone {

struct GradientBucketsOptions {
  std::int64_t first_bytes = std::int64_t{1} << 20;  ///< of the bucket that is ready first: small, to begin early
  std::int64_t bytes = std::int64_t{25} << 20;       ///< of the others; a larger tensor gets a bucket of its own
};

std::vector<std::string> validate(const GradientBucketsOptions& options);

/// Averages gradients over ranks while backward still computes others: they are copied into buckets, from the last
/// parameter to the first, as backward yields them, and a bucket whose gradients are all there starts on its way. In a
/// training step:
///
///     loss.backward();
///     buckets.finish();    // gradients are now the mean of all ranks'
///     optimizer.step();
///
/// Buckets start in one order on every rank, whichever is ready first, so they never meet another; one that waits for a
/// parameter which a pass does not use goes out in `finish`. Bytes: those of one all-reduce. Memory: a copy of all
/// gradients.
///
/// Source: Li et al., *PyTorch Distributed: Experiences on Accelerating Data Parallel Training*, 2020, section 4.
class GradientBuckets {
 public:
  /// All ranks call, with equal parameters in equal order. `communicator` is borrowed and should serve nothing else
  /// between backward and `finish`; give it a `split` of its own where layers communicate too. Throws
  /// `InvalidArgument` for tensors that take no gradient or are there twice, and where ranks hold different ones.
  GradientBuckets(Communicator& communicator, const std::vector<at::Tensor>& parameters,
                  const GradientBucketsOptions& options = {});
  /// Takes its hooks off the parameters.
  ~GradientBuckets();
  GradientBuckets(GradientBuckets&&) = delete;

  /// Ends a backward pass: what has not started starts, and each gradient becomes the mean over ranks. A parameter
  /// without a gradient counts as one whose gradient is 0, and has one afterwards. All ranks call.
  void finish();

  /// While one lives, backward only accumulates, on this rank. The pass that follows sends the sums.
  class Accumulation {
   public:
    explicit Accumulation(bool& sends) : sends_(sends) { sends_ = false; }
    ~Accumulation() { sends_ = true; }
    Accumulation(Accumulation&&) = delete;

   private:
    bool& sends_;
  };
  [[nodiscard]] Accumulation accumulate() { return Accumulation(sends_); }

  /// Elements of each bucket, in the order in which they start.
  [[nodiscard]] std::vector<std::int64_t> bucket_sizes() const;

 private:
  struct Bucket;
  struct Hook;
  struct Place {
    std::size_t bucket = 0;
    std::int64_t offset = 0;
    bool ready = false;
  };

  void fill_buckets(const GradientBucketsOptions& options);
  void share_layout();
  void on_gradient(std::size_t parameter);
  void collect(std::size_t parameter);
  void start_next();
  [[nodiscard]] at::Tensor slice(std::size_t parameter) const;

  Communicator& communicator_;
  std::vector<at::Tensor> parameters_;
  std::vector<Place> places_;  ///< of each parameter
  std::vector<Bucket> buckets_;
  std::vector<Hook> hooks_;
  std::size_t started_ = 0;
  bool sends_ = true;
};

}  // namespace halftone
