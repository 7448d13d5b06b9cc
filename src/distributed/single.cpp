#include "halftone/core/error.hpp"
#include "halftone/distributed/communicator.hpp"

namespace halftone {
namespace {

struct Done final : PendingWork {
  void wait() override {}
};

class Single final : public Communicator {
 public:
  [[nodiscard]] int rank() const override { return 0; }
  [[nodiscard]] int size() const override { return 1; }
  [[nodiscard]] std::string engine() const override { return "none"; }

 private:
  std::unique_ptr<PendingWork> do_all_reduce(const at::Tensor& /*tensor*/, ReduceOp /*op*/) override {
    return std::make_unique<Done>();
  }
  void do_reduce_scatter(const at::Tensor& input, const at::Tensor& output) override { output.copy_(input); }
  void do_all_gather(const at::Tensor& input, const at::Tensor& output) override { output.copy_(input); }
  void do_broadcast(const at::Tensor& /*tensor*/, int /*root*/) override {}
  void do_barrier() override {}
  // The checks of messages leave no rank to send to.
  std::unique_ptr<PendingWork> do_send(const at::Tensor& /*tensor*/, int /*to*/, int /*tag*/) override {
    throw Error(Errc::Internal, "send among one rank");
  }
  std::unique_ptr<PendingWork> do_receive(const at::Tensor& /*tensor*/, int /*from*/, int /*tag*/) override {
    throw Error(Errc::Internal, "receive among one rank");
  }
  std::unique_ptr<Communicator> do_split(int /*color*/) override { return make_single_communicator(); }
};

}  // namespace

std::unique_ptr<Communicator> make_single_communicator() { return std::make_unique<Single>(); }

}  // namespace halftone
