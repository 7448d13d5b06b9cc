#include "halftone/train/gradient_buckets.hpp"

#include <ATen/ATen.h>

#include "catch.hpp"
#include "distributed/on_ranks.hpp"
#include "train/small_net.hpp"

using namespace halftone;

namespace {

/// Writes down when all-reduces begin; hands everything on.
class Recorder final : public Communicator {
 public:
  explicit Recorder(Communicator& inner) : inner_(inner) {}
  [[nodiscard]] int rank() const override { return inner_.rank(); }
  [[nodiscard]] int size() const override { return inner_.size(); }
  [[nodiscard]] std::string engine() const override { return inner_.engine(); }

  std::vector<std::int64_t> started;  ///< elements of each

 private:
  std::unique_ptr<PendingWork> do_all_reduce(const at::Tensor& tensor, ReduceOp op) override {
    started.push_back(tensor.numel());
    return inner_.start_all_reduce(tensor, op);
  }
  void do_reduce_scatter(const at::Tensor& input, const at::Tensor& output) override {
    inner_.reduce_scatter(input, output);
  }
  void do_all_gather(const at::Tensor& input, const at::Tensor& output) override { inner_.all_gather(input, output); }
  void do_broadcast(const at::Tensor& tensor, int root) override { inner_.broadcast(tensor, root); }
  void do_barrier() override { inner_.barrier(); }
  std::unique_ptr<PendingWork> do_send(const at::Tensor& tensor, int to, int tag) override {
    return inner_.start_send(tensor, to, tag);
  }
  std::unique_ptr<PendingWork> do_receive(const at::Tensor& tensor, int from, int tag) override {
    return inner_.start_receive(tensor, from, tag);
  }
  std::unique_ptr<Communicator> do_split(int color) override { return inner_.split(color); }

  Communicator& inner_;
};

std::vector<at::Tensor> gradients(const SmallNet& net) {
  std::vector<at::Tensor> list;
  for (const auto& parameter : net.parameters) list.push_back(parameter.grad().clone());
  return list;
}

/// Every gradient summed by itself.
std::vector<at::Tensor> plain_means(Communicator& communicator) {
  const SmallNet net;
  net.loss(static_cast<std::uint64_t>(communicator.rank())).backward();
  for (const auto& parameter : net.parameters) {
    communicator.all_reduce(parameter.grad());
    parameter.mutable_grad().div_(communicator.size());
  }
  return gradients(net);
}

bool equal(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return at::equal(x, y); });
}

struct Pass {
  bool same = false;
  std::vector<std::int64_t> sizes;
  std::vector<std::int64_t> in_backward;
  std::vector<std::int64_t> at_end;
};

Pass pass(Communicator& inner, const GradientBucketsOptions& options) {
  const auto plain = plain_means(inner);
  Recorder communicator(inner);
  const SmallNet net;
  GradientBuckets buckets(communicator, net.parameters, options);
  net.loss(static_cast<std::uint64_t>(inner.rank())).backward();
  Pass result{.sizes = buckets.bucket_sizes(), .in_backward = communicator.started};
  buckets.finish();
  result.at_end = communicator.started;
  result.same = equal(gradients(net), plain);
  return result;
}

}  // namespace

TEST_CASE("buckets give the mean that every gradient's own all-reduce gives, bit for bit") {
  for (const int ranks : {1, 2, 4})
    for (const std::int64_t bytes : {1, 200, 1200, 1 << 20}) {
      CAPTURE(ranks, bytes);
      const auto passes = on_ranks(ranks, [&](Communicator& communicator) {
        return pass(communicator, {.first_bytes = bytes, .bytes = bytes});
      });
      for (const auto& result : passes) {
        CHECK(result.same);
        CHECK(result.at_end == result.sizes);  // one collective a bucket, in their order
      }
    }
}

TEST_CASE("all buckets are on their way when backward ends") {
  for (const auto& result : on_ranks(
           2, [](Communicator& communicator) { return pass(communicator, {.first_bytes = 100, .bytes = 1200}); })) {
    // From the last tensor: 3 and 18 numbers; 6, 270, 5, 5 and 5; 135.
    CHECK(result.sizes == std::vector<std::int64_t>{21, 291, 135});
    CHECK(result.in_backward == result.sizes);
  }
}

TEST_CASE("ranks that use different parameters do not meet the wrong bucket") {
  const auto results = on_ranks(2, [](Communicator& communicator) {
    std::vector<at::Tensor> w;
    for (int i = 0; i < 3; ++i) w.push_back(at::full({i + 1}, 2.0F).requires_grad_(true));
    GradientBuckets buckets(communicator, w, {.first_bytes = 1, .bytes = 1});
    // Rank 0 uses the first and the last, rank 1 the first only; the second nobody.
    at::Tensor loss = w[0].sum();
    if (communicator.rank() == 0) loss = loss + w[2].sum() * 4;
    loss.backward();
    buckets.finish();
    return std::vector<at::Tensor>{w[0].grad(), w[1].grad(), w[2].grad()};
  });
  for (const auto& rank : results) {
    CHECK(at::equal(rank[0], at::ones({1})));
    CHECK(at::equal(rank[1], at::zeros({2})));
    CHECK(at::equal(rank[2], at::full({3}, 2.0F)));
  }
}

TEST_CASE("passes that only accumulate send nothing, and the next sends the sum") {
  for (const bool as_expected : on_ranks(2, [](Communicator& inner) {
         Recorder communicator(inner);
         const SmallNet net;
         const auto rank = static_cast<std::uint64_t>(inner.rank());
         net.loss(rank).backward();
         net.loss(rank + 10).backward();
         for (const auto& parameter : net.parameters) {
           inner.all_reduce(parameter.grad());
           parameter.mutable_grad().div_(2);
         }
         const auto plain = gradients(net);
         net.zero_grad();
         GradientBuckets buckets(communicator, net.parameters, {.first_bytes = 100, .bytes = 100});
         {
           const auto accumulation = buckets.accumulate();
           net.loss(rank).backward();
         }
         const bool silent = communicator.started.empty();
         net.loss(rank + 10).backward();
         buckets.finish();
         return silent && equal(gradients(net), plain);
       }))
    CHECK(as_expected);
}

TEST_CASE("many passes go through the same buckets, and none after they are gone") {
  for (const bool as_expected : on_ranks(2, [](Communicator& inner) {
         Recorder communicator(inner);
         const SmallNet net;
         std::size_t count = 0;
         bool same = true;
         {
           GradientBuckets buckets(communicator, net.parameters, {.first_bytes = 100, .bytes = 100});
           count = buckets.bucket_sizes().size();
           const auto plain = plain_means(inner);
           for (int step = 0; step < 3; ++step) {
             net.zero_grad();
             net.loss(static_cast<std::uint64_t>(inner.rank())).backward();
             buckets.finish();
             same = same && equal(gradients(net), plain);
           }
         }
         net.loss(0).backward();
         return same && communicator.started.size() == 3 * count;
       }))
    CHECK(as_expected);
}

TEST_CASE("buckets refuse what would go wrong silently") {
  const auto ranks = make_thread_communicators(1);
  const at::Tensor w = at::ones({2}).requires_grad_(true);
  CHECK_THAT(error_message([&] {
               GradientBuckets buckets(*ranks[0], {w});
               w.sum().backward();
               w.sum().backward();
             }),
             Catch::Contains("parameter 0 got a second gradient: call finish()"));
  CHECK_THAT(error_message([&] {
               GradientBuckets(*ranks[0], {w, w});
             }),
             Catch::Contains("parameter 1 [2] is there twice"));
  CHECK_THAT(error_message([&] { GradientBuckets(*ranks[0], {at::ones({2})}); }), Catch::Contains("takes no gradient"));
  CHECK_THAT(error_message([&] { GradientBuckets(*ranks[0], {w}, {.first_bytes = 0}); }),
             Catch::Contains("first_bytes is 0"));
  CHECK_THAT(error_message([] {
               on_ranks(2, [](Communicator& communicator) {
                 GradientBuckets(communicator, {at::ones({2 + communicator.rank()}).requires_grad_(true)});
                 return 0;
               });
             }),
             Catch::Contains("ranks differ in elements and types of gradient buckets"));
}
