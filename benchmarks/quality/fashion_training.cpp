// Epochs to a fixed accuracy on Fashion-MNIST by optimizer and batch size, and what the ranks of a job do for time and
// memory. Ranks are threads of this process, each with one OpenMP thread.
#include <ATen/Parallel.h>
#include <CLI/CLI.hpp>
#include <torch/nn/module.h>
#include <torch/optim/sgd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <malloc.h>
#include <string>
#include <thread>
#include <vector>

#include "halftone/data/idx.hpp"
#include "halftone/models/architecture.hpp"
#include "halftone/train/batch_norm_module.hpp"
#include "halftone/train/data_parallel.hpp"
#include "halftone/train/lars.hpp"
#include "halftone/train/schedule.hpp"

using namespace halftone;

namespace {

struct Arguments {
  std::string folder = "/usr/share/datasets/fashion-mnist";
  std::string network = "fashion_resnet8";
  std::vector<std::string> optimizers{"sgd", "lars", "lars-unscaled"};
  std::vector<std::int64_t> batches{128, 1024, 4096};
  std::int64_t epochs = 10;
  std::int64_t samples = 60000;
  std::vector<double> targets{0.85, 0.88, 0.9};
  int ranks = 1;
  std::uint64_t seed = 0;
  double scale = 1;
};

/// Rates by batch: momentum SGD .05 at 128, in proportion (Goyal et al., *Accurate, Large Minibatch SGD*, 2017); LARS
/// 31.2 at 32,768 (Kumar et al., 2019), by the square root (You et al., *Large Batch Optimization*, 2020).
double base_rate(const std::string& optimizer, std::int64_t batch) {
  const auto size = static_cast<double>(batch);
  return optimizer == "sgd" ? 0.05 * size / 128 : 31.2 * std::sqrt(size / 32768);
}

OptimizerFactory factory(const std::string& optimizer) {
  return
      [optimizer](std::vector<torch::optim::OptimizerParamGroup> groups) -> std::unique_ptr<torch::optim::Optimizer> {
        if (optimizer == "sgd")
          return std::make_unique<torch::optim::SGD>(
              std::move(groups), torch::optim::SGDOptions(0.1).momentum(0.9).weight_decay(1e-4).nesterov(false));
        return std::make_unique<Lars>(std::move(groups), LarsOptions());
      };
}

std::vector<torch::optim::OptimizerParamGroup> groups(const std::string& optimizer, torch::nn::Module& module) {
  if (optimizer == "sgd") return {torch::optim::OptimizerParamGroup(module.parameters())};
  const LarsForm form = optimizer == "lars" ? LarsForm::Scaled : LarsForm::Unscaled;
  return Lars::groups(module.parameters(), LarsOptions().form(form));
}

TrainResult train(const Arguments& arguments, const std::string& optimizer, std::int64_t batch, Communicator& ranks,
                  const Dataset& training, const Dataset& validation) {
  at::set_num_threads(1);
  const TrainableModule network = make_fashion_resnet(arguments.network, arguments.seed, [&](std::int64_t channels) {
    return make_trainable(DistributedBatchNorm(ranks, channels).ptr());
  });
  const std::int64_t steps = steps_of_epoch(training.size(), batch, ranks.size());
  const PolynomialSchedule schedule{.base = arguments.scale * base_rate(optimizer, batch),
                                    .warm_up_steps = steps * arguments.epochs / 5,
                                    .steps = steps * arguments.epochs};
  return train_data_parallel(network, training, validation, groups(optimizer, *network.module), factory(optimizer),
                             {.batch = batch,
                              .together = 128,  // batch norms see as many whatever the batch, as a group of ranks would
                              .epochs = arguments.epochs,
                              .target = std::ranges::max(arguments.targets),
                              .rate = [&](std::int64_t step) { return rate_at(schedule, step); },
                              .seed = arguments.seed},
                             ranks);
}

void print(const Arguments& arguments, const std::string& optimizer, std::int64_t batch, const TrainResult& result) {
  std::printf("| %s | %lld |", optimizer.c_str(), static_cast<long long>(batch));
  const std::vector<TrainEpoch>& epochs = result.epochs;
  for (const double target : arguments.targets) {
    const auto first = std::ranges::find_if(epochs, [&](const TrainEpoch& epoch) { return epoch.accuracy >= target; });
    std::printf(" %s |", first == epochs.end() ? "-" : std::to_string(first - epochs.begin() + 1).c_str());
  }
  double seconds = 0;
  for (const TrainEpoch& epoch : epochs) {
    std::printf(" %.2f", 100 * epoch.accuracy);
    seconds += epoch.seconds;
  }
  std::printf(" | %lld | %.0f | %.2f | %lld |\n", static_cast<long long>(result.steps), seconds,
              1e3 * result.update_seconds / static_cast<double>(result.steps),
              static_cast<long long>(result.optimizer_bytes));
  std::fflush(stdout);
}

void run(const Arguments& arguments) {
  const ImageNormalization normalization = load_model(arguments.network + ":random").data.normalization;
  const auto open = [&](const std::string& part, std::int64_t most) {
    const std::string stem = arguments.folder + "/" + part;
    std::shared_ptr<const Dataset> data =
        open_idx(stem + "-images-idx3-ubyte.gz,target=" + stem + "-labels-idx1-ubyte.gz", normalization);
    return spread_subset(data, most);
  };
  const auto training = open("train", arguments.samples);
  const auto validation = open("t10k", 10000);
  std::printf("%s, %lld training samples, %lld for validation, %d ranks, at most %lld epochs, seed %llu\n\n",
              arguments.network.c_str(), static_cast<long long>(training->size()),
              static_cast<long long>(validation->size()), arguments.ranks, static_cast<long long>(arguments.epochs),
              static_cast<unsigned long long>(arguments.seed));
  std::printf("| optimizer | batch |");
  for (const double target : arguments.targets) std::printf(" epochs to %g %% |", 100 * target);
  std::printf(" accuracy after each, %% | steps | s | update, ms a step | state, bytes a rank |\n|---|---|");
  for (std::size_t i = 0; i < arguments.targets.size(); ++i) std::printf("---|");
  std::printf("---|---|---|---|---|\n");
  for (const std::string& optimizer : arguments.optimizers)
    for (const std::int64_t batch : arguments.batches) {
      auto communicators = make_thread_communicators(arguments.ranks);
      std::vector<std::thread> others;
      for (int rank = 1; rank < arguments.ranks; ++rank)
        others.emplace_back([&, rank] {
          (void)train(arguments, optimizer, batch, *communicators[static_cast<std::size_t>(rank)], *training,
                      *validation);
        });
      const TrainResult result = train(arguments, optimizer, batch, *communicators.front(), *training, *validation);
      for (std::thread& other : others) other.join();
      print(arguments, optimizer, batch, result);
    }
}

}  // namespace

int main(int argc, char** argv) {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);  // as the program does: activations come and go with every operator
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  Arguments arguments;
  CLI::App app("Epochs to a fixed accuracy on Fashion-MNIST, by optimizer and batch size.");
  app.add_option("folder", arguments.folder, "of the data set's four files; Debian: dataset-fashion-mnist")
      ->capture_default_str();
  app.add_option("--network", arguments.network)->capture_default_str();
  app.add_option("--optimizers", arguments.optimizers, "of sgd, lars, lars-unscaled")->delimiter(',');
  app.add_option("--batches", arguments.batches)->delimiter(',');
  app.add_option("--epochs", arguments.epochs, "at most; the rate falls to its end by then")->capture_default_str();
  app.add_option("--samples", arguments.samples, "training samples, at even distances")->capture_default_str();
  app.add_option("--targets", arguments.targets, "shares of validation samples right; training ends at the highest")
      ->delimiter(',');
  app.add_option("--ranks", arguments.ranks, "threads that share each batch")->capture_default_str();
  app.add_option("--rate", arguments.scale, "factor on the rates")->capture_default_str();
  app.add_option("--seed", arguments.seed)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    run(arguments);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fashion_training: %s\n", error.what());
    return 2;
  }
}
