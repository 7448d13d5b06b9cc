// Trains a network on the ranks of a job, then quantizes it there. Alone, or as several processes:
//   for rank in 0 1; do RANK=$rank WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=29500 example_100… & done; wait
// The data is Fashion-MNIST: Debian's package dataset-fashion-mnist has it in /usr/share/datasets/fashion-mnist.
#include <torch/nn/module.h>

#include <cstdlib>
#include <fstream>
#include <iostream>

#include "halftone/data/dataset.hpp"
#include "halftone/distributed/environment.hpp"
#include "halftone/distributed/gloo.hpp"
#include "halftone/graph/capture.hpp"
#include "halftone/graph/passes.hpp"
#include "halftone/models/architecture.hpp"
#include "halftone/models/trainable.hpp"
#include "halftone/quantize.hpp"
#include "halftone/train/batch_norm_module.hpp"
#include "halftone/train/data_parallel.hpp"
#include "halftone/train/lars.hpp"
#include "halftone/train/schedule.hpp"

namespace {

std::unique_ptr<halftone::Communicator> join_ranks() {
  const auto job = halftone::rank_environment([](const char* name) { return std::getenv(name); });
  if (job.size == 1) return halftone::make_single_communicator();
  return halftone::make_gloo_communicator(
      {.rank = job.rank, .size = job.size, .address = job.address, .port = job.port});
}

}  // namespace

int main(int argc, char** argv) {
  const std::string folder = argc > 1 ? argv[1] : "/usr/share/datasets/fashion-mnist";
  const std::string out = argc > 2 ? argv[2] : "out";
  const std::string most = argc > 3 ? argv[3] : "60000";  // training samples
  const std::int64_t epochs = argc > 4 ? std::atoi(argv[4]) : 5;
  const auto open = [&](const std::string& part, const std::string& slice) {
    const std::string stem = folder + "/" + part;
    return halftone::open_dataset(
        "idx:" + stem + "-images-idx3-ubyte.gz,target=" + stem + "-labels-idx1-ubyte.gz[" + slice + "]",
        halftone::load_model("fashion_resnet8:random").data);
  };
  const auto training = open("train", "0:" + most);
  const auto calibration = open("train", "0:500");
  const auto test = open("t10k", ":");
  std::filesystem::create_directories(out);

  // [readme]
  const std::unique_ptr<halftone::Communicator> ranks = join_ranks();
  const auto network = halftone::make_fashion_resnet("fashion_resnet8", /*seed=*/0, [&](std::int64_t channels) {
    return halftone::make_trainable(halftone::DistributedBatchNorm(*ranks, channels).ptr());
  });
  const std::int64_t steps = epochs * halftone::steps_of_epoch(training->size(), 128, ranks->size());
  const halftone::PolynomialSchedule schedule{.base = 2, .warm_up_steps = steps / 5, .steps = steps};
  const halftone::TrainResult trained = halftone::train_data_parallel(
      network, *training, *test, halftone::Lars::groups(network.module->parameters(), halftone::LarsOptions()),
      [](auto groups) { return std::make_unique<halftone::Lars>(groups, halftone::LarsOptions()); },
      {.batch = 128, .epochs = epochs, .rate = [&](std::int64_t step) { return rate_at(schedule, step); }}, *ranks);

  const auto forward = [&](const std::vector<at::Tensor>& x) { return std::vector{network.forward(x[0])}; };
  const auto model = halftone::prepare(
      halftone::capture(forward, halftone::named_tensors(*network.module), calibration->range(0, 2).inputs));
  const halftone::RunResult result = halftone::quantize(model, {.calibration = *calibration, .validation = *test},
                                                        {.keep = 0.99, .communicator = ranks.get()});
  // [readme]
  if (ranks->rank() == 0) {
    for (const halftone::TrainEpoch& epoch : trained.epochs)
      std::cout << "loss " << epoch.loss << ", " << 100 * epoch.accuracy << " % right, " << epoch.seconds << " s\n";
    std::cout << '\n' << halftone::text_report(result);
    halftone::save_weights(out + "/weights.safetensors", halftone::named_tensors(*network.module));
    halftone::write_run(result, out);
  }
  return result.status == halftone::RunStatus::Met ? 0 : 1;
}
