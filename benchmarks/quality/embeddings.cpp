// Token ids of every sample of a text dataset and, of the first COUNT, what the network makes of them, for
// against_transformers.py: one line a sample, its ids, then a tab and the numbers of the first output.
//   embeddings MODEL DATA [COUNT]
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "halftone/core/error.hpp"
#include "halftone/data/dataset.hpp"
#include "halftone/graph/interpreter.hpp"
#include "halftone/models/architecture.hpp"

namespace {

using namespace halftone;

constexpr std::int64_t kBatch = 16;

/// `network` null: ids alone.
void print(const Dataset& data, std::int64_t begin, std::int64_t end, const Interpreter* network) {
  const Batch batch = data.range(begin, end);
  const auto lengths = data.lengths();
  at::Tensor outputs;
  if (network != nullptr) outputs = network->run(batch.inputs).at(0).contiguous();
  for (std::int64_t i = begin; i < end; ++i) {
    const at::Tensor ids = batch.inputs[0][i - begin];
    for (std::int64_t t = 0; t < lengths[static_cast<std::size_t>(i)]; ++t)
      std::printf("%lld ", static_cast<long long>(ids[t].item<std::int64_t>()));
    if (outputs.defined()) {
      const at::Tensor row = outputs[i - begin];
      std::printf("\t");
      for (std::int64_t k = 0; k < row.numel(); ++k) std::printf("%.9g ", double{row.const_data_ptr<float>()[k]});
    }
    std::printf("\n");
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3 || argc > 4) {
    std::fputs("usage: embeddings MODEL DATA [COUNT]\n", stderr);
    return 2;
  }
  at::set_num_threads(1);
  const at::NoGradGuard no_gradient;
  try {
    const LoadedModel loaded = load_model(argv[1]);
    const auto data = open_dataset(argv[2], loaded.data);
    if (data->lengths().empty()) throw Error(Errc::InvalidArgument, message(data->name(), " holds no texts"));
    const std::int64_t computed = std::min(argc > 3 ? std::atoll(argv[3]) : 0LL, static_cast<long long>(data->size()));
    const Interpreter network(loaded.model);
    for (std::int64_t begin = 0; begin < data->size();) {
      const bool computes = begin < computed;
      const std::int64_t end = std::min(begin + kBatch, computes ? computed : data->size());
      print(*data, begin, end, computes ? &network : nullptr);
      begin = end;
    }
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
