#include <ATen/ATen.h>

#include <cmath>

#include "failure.hpp"
#include "halftone/data/squad.hpp"
#include "halftone/evaluate/task.hpp"
#include "temp_dir.hpp"
#include "tiny_model.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

/// 8 questions: words of a context of 40, w0 w1 … w19 w0 …
std::shared_ptr<const SquadDataset> questions(const TempDir& dir, const std::string& file, int shift) {
  std::string vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nwhere\n";
  std::string context;
  std::vector<std::size_t> starts;
  for (int i = 0; i < 20; ++i) vocabulary += "w" + std::to_string(i) + "\n";
  for (int i = 0; i < 40; ++i) {
    starts.push_back(context.size());
    context += "w" + std::to_string((i + shift) % 20) + " ";
  }
  std::string list;
  for (std::size_t q = 0; q < 8; ++q) {
    const std::size_t begin = starts[4 * q];
    const std::string text = context.substr(begin, starts[4 * q + 1 + q % 3] - begin - 1);
    list += std::string(q > 0 ? "," : "") + R"({"question":"where )" + (q % 2 == 0 ? "where" : "") +
            R"(","answers":[{"text":")" + text + R"(","answer_start":)" + std::to_string(begin) + "}]}";
  }
  DataOptions options;
  options.input_names = {"input_ids"};
  options.vocabulary = dir.write("vocab.txt", vocabulary);
  const std::string path =
      dir.write(file, R"({"data":[{"paragraphs":[{"context":")" + context + R"(","qas":[)" + list + "]}]}]}");
  return open_squad(path, options);
}

/// The score of one sample by trying all spans in the order of their lengths, with values of their own.
double naive(const SquadDataset& data, const at::Tensor& start, const at::Tensor& end, std::int64_t question,
             bool exact) {
  const at::Tensor row = data.targets()[question];
  std::string best;
  double most = -1e300;
  std::int64_t first_of_best = 0;
  for (std::int64_t length = 1; length <= 30; ++length)
    for (auto i = row[3].item<std::int64_t>(); i + length <= row[4].item<std::int64_t>(); ++i) {
      const double sum = start[i].item<double>() + end[i + length - 1].item<double>();
      if (sum < most || (sum == most && i >= first_of_best)) continue;
      most = sum;
      first_of_best = i;
      best = data.texts()->text(question, i, i + length - 1);
    }
  const auto& answers = data.texts()->answers(question);
  return exact ? (exact_match(best, answers) ? 1 : 0) : squad_f1(best, answers);
}

std::vector<at::Tensor> random_logits(const SquadDataset& data, std::uint32_t seed) {
  const std::int64_t tokens = data.range(0, data.size()).inputs[0].size(1);
  return {tiny::random({data.size(), tokens}, seed).mul_(4), tiny::random({data.size(), tokens}, seed + 1).mul_(4)};
}

}  // namespace

TEST_CASE("answers are the best spans of the context, as a second implementation finds them") {
  const TempDir dir;
  const auto data = questions(dir, "a.json", 0);
  for (const bool exact : {false, true}) {
    const auto task = make_squad(exact ? SquadScore::ExactMatch : SquadScore::F1);
    CHECK(task->name() == (exact ? "squad_em" : "squad"));
    double sum = 0;
    for (std::uint32_t seed = 0; seed < 20; ++seed) {
      auto logits = random_logits(*data, seed);
      for (std::int64_t q = 0; seed % 2 == 0 && q < data->size(); ++q)  // half of the answers are right
        for (const int side : {0, 1}) logits[side][q][data->targets()[q][1 + side].item<std::int64_t>()] += 6;
      if (seed % 4 == 3)
        for (at::Tensor& values : logits) values.round_();  // ties
      task->check(logits, *data);
      const at::Tensor score = task->score(logits, data->targets());
      CHECK(at::equal(score, task->score({at::stack({logits[0], logits[1]}, 2)}, data->targets())));
      for (std::int64_t q = 0; q < data->size(); ++q)
        CHECK(score[q].item<double>() == Approx(naive(*data, logits[0][q], logits[1][q], q, exact)));
      sum += score.sum().item<double>();
    }
    CHECK(sum > 40);
    CHECK(sum < 140);
  }
}

TEST_CASE("a span of more than 30 tokens is no answer") {
  const TempDir dir;
  const auto data = questions(dir, "a.json", 0);
  const auto task = make_squad(SquadScore::ExactMatch);
  auto logits = random_logits(*data, 3);
  const std::int64_t begin = data->targets()[0][3].item<std::int64_t>();
  for (at::Tensor& values : logits) values.zero_();
  logits[0][0][begin] = 5;
  logits[1][0][begin + 30] = 5;  // the 31st
  logits[1][0][begin] = 1;       // the answer, which is the first word
  task->check(logits, *data);
  CHECK(task->score(logits, data->targets())[0].item<double>() == 1);
  logits[1][0][begin + 29] = 5;
  CHECK(task->score(logits, data->targets())[0].item<double>() == 0);
}

TEST_CASE("questions of several files, and of parts of them, are told apart") {
  const TempDir dir;
  const auto first = questions(dir, "a.json", 0);
  const auto second = questions(dir, "b.json", 7);
  const auto task = make_squad();
  const auto logits = random_logits(*first, 5);
  const std::string unknown = failure([&] { (void)task->score(logits, first->targets()); }).text;
  CHECK_THAT(unknown, Contains("call check with their data first"));
  const auto part = make_subset(first, {6, 2}, "part");
  task->check({logits[0].slice(0, 0, 2), logits[1].slice(0, 0, 2)},
              *make_subset({make_subset(second, {1, 3}, "s")}, {1}, "t"));
  task->check({logits[0].slice(0, 0, 2), logits[1].slice(0, 0, 2)}, *part);
  const at::Tensor whole = task->score(logits, second->targets());
  for (std::int64_t q = 0; q < 8; ++q)
    CHECK(whole[q].item<double>() == Approx(naive(*second, logits[0][q], logits[1][q], q, false)));
  const auto pick = at::tensor({6, 2}, at::kLong);
  const at::Tensor some =
      task->score({logits[0].index_select(0, pick), logits[1].index_select(0, pick)}, part->targets());
  CHECK(some[0].item<double>() == Approx(naive(*first, logits[0][6], logits[1][6], 6, false)));
}

TEST_CASE("damage is the mean divergence of starts and ends, and responses are half of it for small changes") {
  const auto task = make_squad();
  const at::Tensor clean = tiny::random({3, 5}, 1).to(at::kDouble);
  const at::Tensor clean_ends = tiny::random({3, 5}, 2).to(at::kDouble);
  const at::Tensor starts = clean + 0.3 * tiny::random({3, 5}, 3);
  const at::Tensor ends = clean_ends + 0.3 * tiny::random({3, 5}, 4);
  const at::Tensor damage = task->damage({starts, ends}, {clean, clean_ends});
  const auto divergence = [](const at::Tensor& p_logits, const at::Tensor& q_logits) {
    double p_sum = 0;
    double q_sum = 0;
    for (int k = 0; k < 5; ++k) {
      p_sum += std::exp(p_logits[k].item<double>());
      q_sum += std::exp(q_logits[k].item<double>());
    }
    double sum = 0;
    for (int k = 0; k < 5; ++k) {
      const double p = std::exp(p_logits[k].item<double>()) / p_sum;
      sum += p * std::log(p / (std::exp(q_logits[k].item<double>()) / q_sum));
    }
    return sum;
  };
  for (int i = 0; i < 3; ++i)
    CHECK(damage[i].item<double>() ==
          Approx((divergence(clean[i], starts[i]) + divergence(clean_ends[i], ends[i])) / 2));
  const std::vector<at::Tensor> near{clean + 1e-4 * tiny::random({3, 5}, 5),
                                     clean_ends + 1e-4 * tiny::random({3, 5}, 6)};
  const at::Tensor half = task->response(near, {clean, clean_ends}).square().sum(1) / 2;
  const at::Tensor small = task->damage(near, {clean, clean_ends});
  for (int i = 0; i < 3; ++i) CHECK(half[i].item<double>() == Approx(small[i].item<double>()).epsilon(1e-3));
}

TEST_CASE("what is not about answers is refused") {
  const TempDir dir;
  const auto data = questions(dir, "a.json", 0);
  const auto task = make_squad();
  const auto refused = [&](const std::vector<at::Tensor>& outputs, const Dataset& of) {
    const Failure found = failure([&] { task->check(outputs, of); });
    CHECK(found.code == Errc::InvalidArgument);
    return found.text;
  };
  const at::Tensor two = at::zeros({2, 7});
  CHECK_THAT(refused({two, two}, *tiny::images(4)), Contains("squad: tiny has no questions to answer"));
  CHECK_THAT(refused({two}, *data), Contains("the network's outputs are [2, 7]: logits of starts and of ends"));
  CHECK_THAT(refused({two, at::zeros({2, 8})}, *data), Contains("[2, 7] and [2, 8]"));
  CHECK_THAT(refused({at::zeros({2, 7, 3})}, *data), Contains("[2, 7, 3]"));
}
