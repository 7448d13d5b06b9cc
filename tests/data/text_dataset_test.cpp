#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <vector>

#include "catch.hpp"
#include "failure.hpp"
#include "halftone/data/dataset.hpp"
#include "halftone/models/architecture.hpp"
#include "mutations.hpp"
#include "temp_dir.hpp"
#include "tiny_model.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

const std::string kVocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nfox\nthe\nruns\nquick\n";
const std::string kPairs =
    "score\tsentence1\tsentence2\n5.000\tThe fox\tthe quick fox runs\n0.25\tfox\t\"the\" fox\n1e0\truns\t\n";
const std::string kLabelled = "label\tsentence\n1\tthe fox\n0\tthe quick fox runs\n12\tThe\n";

class Folder {
 public:
  Folder() { dir_.write("vocab.txt", kVocabulary); }

  [[nodiscard]] DataOptions options(std::vector<std::string> inputs = {"input_ids", "attention_mask"}) const {
    DataOptions options;
    options.input_names = std::move(inputs);
    options.vocabulary = dir_ / "vocab.txt";
    return options;
  }
  [[nodiscard]] std::string write(const std::string& content) const { return dir_.write("x.tsv", content); }
  [[nodiscard]] std::unique_ptr<Dataset> pairs(const DataOptions& options) const {
    return open_dataset("sts:" + write(kPairs), options);
  }
  [[nodiscard]] std::unique_ptr<Dataset> pairs() const { return pairs(options()); }

 private:
  TempDir dir_;
};

/// Takes 6 token ids.
Architecture reader() {
  Architecture architecture;
  architecture.name = "reader";
  architecture.load = [](const WeightsFile&, std::uint64_t) {
    tiny::Builder build;
    const auto ids = build.input("ids", {6});
    const auto words = build.parameter("words", tiny::random({8, 2}, 1));
    const auto found = build.node("aten::embedding", "", {{0, 1}, {6, 0}, {2, 0}},
                                  {build.ref(words), build.ref(ids), build.number(-1), false, false});
    Model model = build.finish(build.linear(found, build.parameter("fc.weight", tiny::random({4, 2}, 2))));
    model.graph.values[static_cast<std::size_t>(ids)].dtype = DType::Int64;
    return model;
  };
  return architecture;
}

at::Tensor longs(std::vector<std::int64_t> values) { return at::tensor(values, at::kLong); }

}  // namespace

TEST_CASE("sentence pairs are samples in a row that share their score") {
  const Folder folder;
  const auto data = folder.pairs();
  CHECK(data->size() == 6);
  CHECK(data->group() == 2);
  CHECK_THAT(data->name(), Contains("sts:") && Contains("x.tsv"));
  CHECK(data->lengths() == std::vector<std::int64_t>{4, 6, 3, 6, 3, 2});
  CHECK(data->targets().equal(at::tensor({5., 5., .25, .25, 1., 1.}, at::kDouble)));
  const Batch batch = data->range(0, 2);
  REQUIRE(batch.inputs.size() == 2);
  CHECK(batch.inputs[0].equal(longs({2, 5, 4, 3, 0, 0, 0, 0, 2, 5, 7, 4, 6, 3, 0, 0}).view({2, 8})));
  CHECK(batch.inputs[1].equal(batch.inputs[0].ne(0).to(at::kLong)));
  CHECK(batch.targets.equal(at::tensor({5., 5.}, at::kDouble)));
}

TEST_CASE("labelled sentences have integer targets") {
  const Folder folder;
  const auto data = open_dataset("text:" + folder.write(kLabelled), folder.options({"tokens"}));
  CHECK(data->group() == 1);
  CHECK(data->targets().equal(longs({1, 0, 12})));
  const std::vector<std::int64_t> indices{2, 0};
  const Batch batch = data->get(indices);
  REQUIRE(batch.inputs.size() == 1);
  CHECK(batch.inputs[0].equal(longs({2, 5, 3, 0, 0, 0, 0, 0, 2, 5, 4, 3, 0, 0, 0, 0}).view({2, 8})));
  CHECK(batch.targets.equal(longs({12, 1})));
}

TEST_CASE("columns are found by name") {
  const Folder folder;
  const auto data = open_dataset("text:" + folder.write("id\tsentence\tlabel\r\n7\tfox\t3\r\n"), folder.options({"x"}));
  CHECK(data->targets().equal(longs({3})));
  CHECK(data->lengths() == std::vector<std::int64_t>{3});
}

TEST_CASE("batches are padded to the longest sample, rounded up, and cut to the tokens allowed") {
  const Folder folder;
  const auto length = [&](std::int64_t step, std::int64_t most, std::int64_t sample) {
    DataOptions options = folder.options();
    options.length_step = step;
    options.max_tokens = most;
    return folder.pairs(options)->range(sample, sample + 1).inputs[0].size(1);
  };
  CHECK(length(1, 0, 0) == 4);
  CHECK(length(1, 0, 1) == 6);
  CHECK(length(4, 0, 1) == 8);
  CHECK(length(0, 0, 1) == 128);
  CHECK(length(0, 9, 1) == 9);
  CHECK(length(4, 5, 1) == 5);
  DataOptions cut = folder.options({"token_type_ids", "input_ids"});
  cut.max_tokens = 4;
  const auto data = folder.pairs(cut);
  CHECK(data->lengths() == std::vector<std::int64_t>{4, 4, 3, 4, 3, 2});
  const Batch batch = data->range(1, 2);
  CHECK(batch.inputs[0].equal(at::zeros({1, 4}, at::kLong)));
  CHECK(batch.inputs[1].equal(longs({2, 5, 7, 3}).view({1, 4})));
}

TEST_CASE("padding is the vocabulary's [PAD], wherever that is") {
  const TempDir dir;
  DataOptions options;
  options.input_names = {"input_ids"};
  options.vocabulary = dir.write("v.txt", "fox\n[UNK]\n[CLS]\n[SEP]\n[PAD]\n");
  options.length_step = 5;
  const auto data = open_dataset("text:" + dir.write("x.tsv", "label\tsentence\n0\tfox\n").string(), options);
  CHECK(data->range(0, 1).inputs[0].equal(longs({2, 0, 3, 4, 4}).view({1, 5})));
}

TEST_CASE("parts of sentence pairs keep pairs whole or say that they are none") {
  const Folder folder;
  const std::string spec = "sts:" + folder.write(kPairs);
  const auto last = open_dataset(spec + "[2:]", folder.options());
  CHECK(last->size() == 4);
  CHECK(last->group() == 2);
  CHECK(last->lengths() == std::vector<std::int64_t>{3, 6, 3, 2});
  for (const char* slice : {"[1:]", "[:3]", "[1:3]"}) {
    const Failure bad = failure([&] { static_cast<void>(open_dataset(spec + slice, folder.options())); });
    CHECK(bad.code == Errc::InvalidArgument);
    CHECK_THAT(bad.text, Contains("parts samples that belong together") && Contains("multiples of 2"));
  }
  const std::shared_ptr<const Dataset> all = folder.pairs();
  const auto half = spread_subset(all, 3);
  CHECK(half->group() == 2);
  CHECK(half->targets().equal(at::tensor({5., 5., .25, .25}, at::kDouble)));
  CHECK(make_subset(all, {4, 5, 0, 1}, "x")->group() == 2);
  CHECK(make_subset(all, {1, 0}, "x")->group() == 1);
  CHECK(make_subset(all, {1, 2}, "x")->group() == 1);
  CHECK(make_subset(all, {0, 1, 2}, "x")->group() == 1);
}

TEST_CASE("numbers are spread by groups") {
  CHECK(spread_indices(10, 4, 2) == std::vector<std::int64_t>{0, 1, 4, 5});
  CHECK(spread_indices(10, 5, 2) == std::vector<std::int64_t>{0, 1, 2, 3, 6, 7});
  CHECK(spread_indices(10, 1, 2) == std::vector<std::int64_t>{0, 1});
  CHECK(spread_indices(6, 99, 3) == std::vector<std::int64_t>{0, 1, 2, 3, 4, 5});
}

TEST_CASE("texts are digested by what the network gets of them") {
  const Folder folder;
  const std::string digest = folder.pairs()->digest();
  CHECK(folder.pairs()->digest() == digest);
  CHECK(Folder().pairs()->digest() == digest);
  DataOptions other = folder.options();
  other.max_tokens = 4;
  CHECK(folder.pairs(other)->digest() != digest);
  const auto changed = kPairs.substr(0, kPairs.rfind("1e0")) + "2e0\truns\t\n";
  CHECK(open_dataset("sts:" + folder.write(changed), folder.options())->digest() != digest);
}

TEST_CASE("texts need a vocabulary, inputs that are known, and lengths in range") {
  const Folder folder;
  const auto refused = [&](const DataOptions& options) {
    const Failure bad = failure([&] { static_cast<void>(folder.pairs(options)); });
    CHECK(bad.code == Errc::InvalidArgument);
    return bad.text;
  };
  DataOptions options = folder.options();
  options.vocabulary.clear();
  CHECK_THAT(refused(options), Contains("no vocabulary") && Contains("--vocabulary FILE"));
  CHECK_THAT(refused(folder.options({"input_ids", "image"})), Contains("an input \"image\""));
  CHECK_THAT(refused(folder.options({})), Contains("without inputs"));
  options = folder.options();
  options.max_tokens = 2;
  CHECK_THAT(refused(options), Contains("max_tokens is 2: from 3"));
  options = folder.options();
  options.length_step = -1;
  CHECK_THAT(refused(options), Contains("length_step is -1"));
}

TEST_CASE("tables of texts that cannot be used are refused by line") {
  const Folder folder;
  const auto refused = [&](const std::string& form, const std::string& content) {
    const Failure bad =
        failure([&] { static_cast<void>(open_dataset(form + folder.write(content), folder.options())); });
    CHECK(bad.code == Errc::BadFile);
    CHECK_THAT(bad.text, Contains("x.tsv"));
    return bad.text;
  };
  CHECK_THAT(refused("sts:", ""), Contains("line 1: it is empty"));
  CHECK_THAT(refused("sts:", kLabelled), Contains("no column \"sentence1\" among \"label\", \"sentence\""));
  CHECK_THAT(refused("text:", kPairs), Contains("no column \"label\""));
  CHECK_THAT(refused("text:", "label\tsentence\n"), Contains("one line a sentence is needed"));
  CHECK_THAT(refused("text:", kLabelled + "1\n"), Contains("line 5: it has 1 fields"));
  CHECK_THAT(refused("text:", kLabelled + "x\tfox\n"), Contains("line 5: label \"x\" is no class number"));
  CHECK_THAT(refused("text:", kLabelled + "1\tf\xffx\n"), Contains("line 5:") && Contains("is no UTF-8"));
  for (const char* score : {"", "x", "1,5", "nan", "inf", "1 ", "1e999"})
    CHECK_THAT(refused("sts:", kPairs + score + "\ta\tb\n"), Contains("line 5: score \"") && Contains("is no number"));
}

TEST_CASE("damaged tables of texts are read or refused") {
  const Folder folder;
  const auto open = [&](const std::string& form) {
    return [&folder, form](const std::string& bytes) {
      const auto data = open_dataset(form + folder.write(bytes), folder.options());
      CHECK(data->range(0, data->size()).inputs[0].size(0) == data->size());
    };
  };
  CHECK(refused_mutations(kPairs, 21, 150, open("sts:")) > 30);
  CHECK(refused_mutations(kLabelled, 22, 150, open("text:")) > 30);
}

TEST_CASE("a network finds the vocabulary beside its weights, and one of fixed length gets that length") {
  const TempDir dir;
  const std::vector<ArchitectureFamily> families{family_of(reader())};
  const std::string spec = "reader:" + (dir / "w.safetensors").string();
  CHECK(load_model(spec, families).data.vocabulary.empty());
  const std::string vocabulary = dir.write("vocab.txt", kVocabulary);
  const LoadedModel loaded = load_model(spec, families);
  CHECK(loaded.data.vocabulary == vocabulary);
  const auto data = open_dataset("text:" + dir.write("x.tsv", kLabelled).string(), loaded.data);
  CHECK(data->range(0, 1).inputs[0].equal(longs({2, 5, 4, 3, 0, 0}).view({1, 6})));
}
