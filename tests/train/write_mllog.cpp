// Writes the log of a run of two epochs to a file, for check_mllog.py. Its figures are made up: form is what counts.
#include <fstream>
#include <iostream>

#include "halftone/train/mllog.hpp"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: write_mllog FILE\n";
    return 2;
  }
  std::ofstream out(argv[1]);
  halftone::MlLog log(out);
  log.submission({.benchmark = "resnet", .org = "nobody", .platform = "threads"});
  log.point("cache_clear", true);
  log.init_start();
  log.point("global_batch_size", std::int64_t{128});
  log.init_stop();
  log.run_start();
  log.point("train_samples", std::int64_t{60000});
  log.point("eval_samples", std::int64_t{10000});
  for (int epoch = 1; epoch <= 2; ++epoch) {
    log.epoch_start(epoch);
    log.epoch_stop(epoch);
    log.eval_start(epoch);
    log.eval_accuracy(0.38 * epoch, epoch);
    log.eval_stop(epoch);
  }
  log.run_stop(/*reached=*/true);
  return out ? 0 : 1;
}
