#include "halftone/plan/finished_file.hpp"

#include <ATen/ATen.h>

#include "failure.hpp"
#include "halftone/data/safetensors.hpp"
#include "temp_dir.hpp"
#include "tiny_model.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

Model with_weight(const Model& model, std::size_t site, const at::Tensor& weight) {
  Model changed = model;
  changed.tensors[static_cast<std::size_t>(model.sites[site].weight)] = weight;
  return changed;
}

/// Writes one tensor as such a file has it.
void write(const std::filesystem::path& path, const std::string& name, const at::Tensor& tensor, const std::string& of,
           const std::string& whole) {
  const SafetensorsEntry entry{name,
                               tensor.scalar_type() == at::kFloat ? DType::Float32 : DType::Float64,
                               tensor.sizes().vec(),
                               {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}};
  write_safetensors(path, {&entry, 1}, {{"model_digest", of}, {"finished_digest", whole}});
}

}  // namespace

TEST_CASE("the tensors that differ are written, and make the same network again") {
  const TempDir dir;
  const Model model = tiny::residual_net();
  Model finished = with_weight(model, 0, tiny::random({4, 2, 3, 3}, 70));
  finished = with_weight(finished, 3, tiny::random({3, 4, 3, 3}, 71).transpose(2, 3));
  finished = with_weight(finished, 4, model.tensors[static_cast<std::size_t>(model.sites[4].weight)].clone());
  write_finished_file(dir / "finished.safetensors", model, finished);
  const SafetensorsFile file(dir / "finished.safetensors");
  REQUIRE(file.entries().size() == 2);
  CHECK(file.find("stem.weight") != nullptr);
  CHECK(file.find("tail.weight") != nullptr);
  CHECK(file.metadata().at("model_digest") == digest(model));
  const Model again = apply_finished_file(dir / "finished.safetensors", model);
  CHECK(digest(again) == digest(finished));
  CHECK(again.tensors[static_cast<std::size_t>(model.sites[1].weight)].is_same(
      model.tensors[static_cast<std::size_t>(model.sites[1].weight)]));
}

TEST_CASE("files that do not fit the network are refused by name") {
  const TempDir dir;
  const auto path = dir / "finished.safetensors";
  const Model model = tiny::residual_net();
  const std::string own = digest(model);
  const at::Tensor weight = tiny::random({4, 2, 3, 3}, 70);
  const std::string whole = digest(with_weight(model, 0, weight));
  const auto refused = [&](const std::string& text) {
    const Failure failed = failure([&] { (void)apply_finished_file(path, model); });
    CHECK(failed.code == Errc::BadFile);
    CHECK_THAT(failed.text, Contains("finished.safetensors") && Contains(text));
  };
  write(path, "stem.weight", weight, own, whole);
  CHECK(digest(apply_finished_file(path, model)) == whole);
  write(path, "stem.weight", weight, "other", whole);
  refused("made for another network");
  write(path, "nose.weight", weight, own, whole);
  refused("tensor \"nose.weight\" is none of the model's");
  write(path, "stem.weight", weight.reshape({2, 4, 3, 3}), own, whole);
  refused("tensor \"stem.weight\" has shape [2, 4, 3, 3]");
  write(path, "stem.weight", weight.to(at::kDouble), own, whole);
  refused("type Double");
  write(path, "stem.weight", weight / 0, own, whole);
  refused("not finite");
  write(path, "stem.weight", weight * 2, own, whole);
  refused("not the network that was written");
  write_safetensors(path, {}, {});
  refused("do not say for which network");
  CHECK(failure([&] { (void)apply_finished_file(dir / "none", model); }).code == Errc::NotFound);
}

TEST_CASE("networks that differ in more than values are not written") {
  const TempDir dir;
  const Model model = tiny::residual_net();
  const Failure shape = failure([&] {
    write_finished_file(dir / "f", model, with_weight(model, 0, at::zeros({4, 2, 1, 1})));
  });
  CHECK_THAT(shape.text, Contains("\"stem.weight\" has another shape"));
  const Failure graph = failure([&] {
    write_finished_file(dir / "f", model, tiny::linear_net(tiny::random({3, 2}, 1)));
  });
  CHECK_THAT(graph.text, Contains("other operators"));
  CHECK_FALSE(std::filesystem::exists(dir / "f"));
}
