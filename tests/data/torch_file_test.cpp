#include "halftone/data/torch_file.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "data/entry_tensor.hpp"
#include "failure.hpp"
#include "halftone/data/safetensors.hpp"
#include "halftone/models/architecture.hpp"
#include "temp_dir.hpp"

// The files are those of save_state_dicts.py: "x.pth" is a zip archive, "x.old.pth" the older form, and
// "x.safetensors" what is to be read of both.

using namespace halftone;
using Catch::Contains;

namespace {

const std::filesystem::path kFolder = HALFTONE_STATE_DICTS;
const std::vector<std::string> kForms{".pth", ".old.pth"};

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Checks names, types, shapes and every byte.
void check_equal(const std::vector<StateTensor>& tensors, const SafetensorsFile& golden) {
  CHECK(tensors.size() == golden.entries().size());
  for (const auto& [name, tensor] : tensors) {
    INFO(name);
    const SafetensorsEntry* entry = golden.find(name);
    REQUIRE(entry != nullptr);
    const at::Tensor expected = internal::to_tensor(*entry);
    REQUIRE(tensor.scalar_type() == expected.scalar_type());
    CHECK(tensor.sizes() == expected.sizes());
    CHECK(tensor.equal(expected));
    CHECK_FALSE(tensor.requires_grad());
  }
}

std::map<std::string, at::Tensor> read(const std::string& file, const std::string& dictionary = {}) {
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, tensor] : read_state_dict(kFolder / file, dictionary)) tensors[name] = tensor;
  return tensors;
}

Failure refusal(const std::string& file, const std::string& dictionary = {}) {
  const Failure bad = failure([&] { read_state_dict(kFolder / file, dictionary); });
  CHECK_THAT(bad.text, Contains(file));
  return bad;
}

void check_refused(const std::string& name, Errc code, const std::string& what) {
  for (const auto& form : kForms) {
    const Failure bad = refusal(name + form);
    CHECK(bad.code == code);
    CHECK_THAT(bad.text, Contains(what));
  }
}

}  // namespace

TEST_CASE("state dicts of both forms are read to the bit") {
  for (const std::string name : {"types", "types_3", "types_4", "types_5", "views", "module", "parallel", "compiled",
                                 "mixed", "checkpoint", "checkpoint_4", "deep", "extras", "loop", "attributes"})
    for (const auto& form : kForms) {
      INFO(name << form);
      check_equal(read_state_dict(kFolder / (name + form)), SafetensorsFile(kFolder / (name + ".safetensors")));
    }
}

TEST_CASE("tensors come in the order in which they were saved") {
  const auto tensors = read_state_dict(kFolder / "module.pth");
  std::vector<std::string> names;
  for (const auto& tensor : tensors) names.push_back(tensor.name);
  CHECK(names == std::vector<std::string>{"0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var",
                                          "1.num_batches_tracked"});
}

TEST_CASE("views keep their strides, and tensors of one storage share memory") {
  for (const auto& form : kForms) {
    const auto tensors = read("views" + form);
    CHECK(tensors.at("transposed").strides() == at::IntArrayRef({1, 12, 3}));
    CHECK(tensors.at("repeated").strides() == at::IntArrayRef({1, 0}));
    CHECK(tensors.at("channels_last").is_contiguous(at::MemoryFormat::ChannelsLast));
    CHECK(tensors.at("tied").data_ptr() == tensors.at("whole").data_ptr());
    CHECK(tensors.at("slice").is_alias_of(tensors.at("whole")));
    tensors.at("whole").fill_(7);  // memory of their own, not the file's
    CHECK(tensors.at("last").item<float>() == 7);
    CHECK_FALSE(tensors.at("repeated").is_alias_of(tensors.at("whole")));
  }
}

TEST_CASE("of several dictionaries of tensors one has to be named") {
  for (const auto& form : kForms) {
    const Failure bad = refusal("twice" + form);
    CHECK(bad.code == Errc::NotFound);
    CHECK_THAT(bad.text, Contains("\"model\" (7 tensors), \"ema/model\" (7 tensors)"));
    check_equal(read_state_dict(kFolder / ("twice" + form), "ema/model"),
                SafetensorsFile(kFolder / "twice.safetensors"));
    CHECK_FALSE(read("twice" + form, "model").at("1.bias").equal(read("twice" + form, "ema/model").at("1.bias")));
    CHECK_THAT(refusal("twice" + form, "net").text,
               Contains("no dictionary of tensors \"net\"") && Contains("\"model\""));
    CHECK_THAT(refusal("module" + form, "net").text, Contains("name none"));
  }
}

TEST_CASE("files without a state dict say what they are instead") {
  check_refused("tensor", Errc::NotFound, "it is one tensor");
  check_refused("numbers", Errc::NotFound, "\"epoch\", \"lr\"");
  check_refused("whole_module", Errc::Unsupported, "save module.state_dict()");
  const std::vector<std::pair<std::string, std::string>> files{
      {"script.pt", "TorchScript"},      {"exported.pt2", "torch.export"},  {"tar.pth", "0.1.10"},
      {"plain.pkl", "_load_from_bytes"}, {"numbers.pkl", "a plain pickle"}, {"types.safetensors", "torch.save did not"},
      {"no_pickle.pth", "cut short"},    {"big_endian.pth", "byte order"},  {"compressed.pth", "compressed"},
  };
  for (const auto& [file, what] : files) CHECK_THAT(refusal(file).text, Contains(what));
  CHECK(refusal("none.pth").code == Errc::NotFound);
}

TEST_CASE("tensors of other kinds are refused by name") {
  check_refused("uint16", Errc::Unsupported, "tensor \"w\": its type is \"torch.uint16\"");
  check_refused("complex", Errc::Unsupported, "tensor \"w\": its type is \"ComplexFloatStorage\"");
  check_refused("sparse", Errc::Unsupported, "tensor \"w\": is made by torch._utils._rebuild_sparse_tensor");
  check_refused("negative", Errc::Unsupported, "resolve_neg()");
  check_refused("repeats", Errc::BadFile, "contiguous()");
}

TEST_CASE("what a file would have run is named and not run") {
  check_refused("system", Errc::Unsupported, "\"posix.system\", which is not allowed");
  check_refused("eval", Errc::Unsupported, "\"builtins.eval\", which is not allowed");
  CHECK_FALSE(std::filesystem::exists(kFolder / "was_run"));
}

TEST_CASE("a network takes its weights from torch.save as from safetensors") {
  const auto load = [](const std::string& weights, const WeightsOptions& options = {}) {
    return load_model("cifar_resnet20:" + weights, shipped_architectures(), {}, 0, options);
  };
  const std::string golden = digest(load(HALFTONE_ASSETS "/cifar_resnet20.safetensors").model);
  WeightsOptions rules{.dictionary = "model"};
  rules.names.add("^backbone\\.=");
  rules.names.add("stage(\\d)=layer$1");
  for (const auto& form : kForms) {
    CHECK(digest(load(kFolder / ("resnet20" + form)).model) == golden);
    CHECK(digest(load(kFolder / ("renamed" + form), rules).model) == golden);
  }
  // The first bytes tell what a file is, not its name.
  const TempDir dir;
  const auto other = dir.write("weights.safetensors", contents(kFolder / "resnet20.pth"));
  CHECK(digest(load(other).model) == golden);
}

TEST_CASE("weights that do not fit a network say what to do") {
  const auto refused = [](const std::string& spec, const WeightsOptions& options = {}) {
    return failure([&] { load_model(spec, shipped_architectures(), {{{{3, 32, 32}}}}, 0, options); }).text;
  };
  const std::string folder = kFolder.string() + "/";
  WeightsOptions model{.dictionary = "model"};
  CHECK_THAT(refused("cifar_resnet20:" + folder + "renamed.pth"), Contains("\"model\" (") && Contains("\"ema\" ("));
  CHECK_THAT(refused("cifar_resnet20:" + folder + "renamed.pth", model), Contains("\"conv1.weight\" is missing") &&
                                                                             Contains("such as \"backbone.") &&
                                                                             Contains("--rename FROM=TO"));
  CHECK_THAT(refused("cifar_resnet20:" + folder + "types.safetensors", model), Contains("name none"));
  CHECK_THAT(refused("cifar_resnet20:random", model), Contains("takes no --rename and no --state-dict"));
  CHECK_THAT(refused(folder + "script.pt", model), Contains("takes no --rename and no --state-dict"));
  CHECK_THAT(refused("cifar_resnet20:" + folder + "script.pt"), Contains("is a TorchScript archive"));
  const TempDir dir;
  const auto state = dir.write("state.pt", contents(kFolder / "resnet20.pth"));
  CHECK_THAT(refused(state), Contains("written by torch.save") && Contains("give ARCH:"));
  const auto unknown = dir.write("unknown.pth", "some text");
  CHECK_THAT(refused("cifar_resnet20:" + unknown.string()), Contains("torch.save did not write it"));
}

TEST_CASE("numbers that lead outside a storage are refused") {
  // Of the older form, whose bytes no checksum guards: BININT1 of what a tensor of 3 x 5 floats is made of.
  const TempDir dir;
  const std::string bytes = contents(kFolder / "views.old.pth");
  const std::string sizes = {'K', 6, 'K', 4, 'K', 3, '\x87'};
  const std::string strides = {'K', 12, 'K', 3, 'K', 1, '\x87'};
  const auto refused = [&](const std::string& from, std::size_t index, char to) {
    std::string changed = bytes;
    changed[changed.find(from) + index] = to;
    const auto path = dir.write("x.pth", changed);
    return failure([&] { read_state_dict(path); }).text;
  };
  CHECK_THAT(refused(sizes, 1, 7), Contains("tensor \"whole\": its last element is number 83 of storage"));
  CHECK_THAT(refused(strides, 1, 13), Contains("tensor \"whole\": its last element is number 76 of storage"));
  CHECK_THAT(refused(strides, 0, 'N'), Contains("instruction 12"));
}

TEST_CASE("files that are cut short anywhere are refused") {
  const TempDir dir;
  for (const auto& form : kForms) {
    const std::string bytes = contents(kFolder / ("module" + form));
    for (std::size_t length = 0; length < bytes.size(); length += 7) {
      const auto path = dir.write("cut.pth", bytes.substr(0, length));
      INFO(form << " cut to " << length);
      CHECK_THROWS_AS(read_state_dict(path), Error);
    }
    const auto longer = dir.write("longer.pth", bytes + "x");
    CHECK_THROWS_AS(read_state_dict(longer), Error);
  }
}

TEST_CASE("damaged files are read or refused, never more") {
  const TempDir dir;
  std::mt19937 random(11);  // NOLINT: the same each time
  for (const std::string name : {"types", "checkpoint"})
    for (const auto& form : kForms) {
      const std::string bytes = contents(kFolder / (name + form));
      const std::size_t size = bytes.size();
      int refused = 0;
      for (int i = 0; i < 200; ++i) {
        std::string damaged = bytes;
        for (unsigned flips = 1 + random() % 8; flips > 0; --flips)
          damaged[random() % size] ^= static_cast<char>(1 << random() % 8);
        try {
          for (const auto& tensor : read_state_dict(dir.write("damaged.pth", damaged))) {
            CHECK(tensor.tensor.nbytes() <= std::max<std::size_t>(size, 1 << 20));
            CHECK(tensor.tensor.clone().defined());  // every element can be read
          }
        } catch (const Error&) {
          ++refused;
        }
      }
      INFO(name << form << ": " << refused << " of 200 refused");
      CHECK(refused >= 60);
    }
}
