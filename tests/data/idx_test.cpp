#include "halftone/data/idx.hpp"

#include <ATen/ATen.h>

#include <filesystem>
#include <string>
#include <vector>

#include "catch.hpp"
#include "failure.hpp"
#include "gzip_bytes.hpp"
#include "idx_bytes.hpp"
#include "mutations.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

const std::string kPixels = {0, 1, 2, 3, 4, 5, 100, 101, 102, 103, 104, static_cast<char>(255)};  // 2 of 2 x 3

std::string images() { return idx_bytes({2, 2, 3}, kPixels); }
std::string labels() { return idx_bytes({2}, std::string{7, 0}); }

/// "IMAGES,target=LABELS" of files with this content.
std::string files(const TempDir& dir, const std::string& image_bytes, const std::string& label_bytes) {
  return dir.write("images", image_bytes).string() + ",target=" + dir.write("labels", label_bytes).string();
}

std::string refused(const std::string& bytes, Errc code = Errc::BadFile) {
  const TempDir dir;
  const Failure bad = failure([&] { static_cast<void>(read_idx(dir.write("x.idx", bytes))); });
  CHECK(bad.code == code);
  CHECK_THAT(bad.text, Contains("x.idx"));
  return bad.text;
}

}  // namespace

TEST_CASE("IDX files are read plain and out of gzip") {
  const TempDir dir;
  const at::Tensor expected = at::tensor({0, 1, 2, 3, 4, 5, 100, 101, 102, 103, 104, 255}, at::kByte).view({2, 2, 3});
  for (const std::string& bytes : {images(), gzip_bytes(images())}) {
    const at::Tensor tensor = read_idx(dir.write("x", bytes));
    CHECK(tensor.equal(expected));
    CHECK(tensor.is_contiguous());
  }
  CHECK(read_idx(dir.write("x", idx_bytes({0, 5}, ""))).sizes() == at::IntArrayRef({0, 5}));
}

TEST_CASE("grey images are normalised by one mean and one standard deviation, and have their labels") {
  const TempDir dir;
  const std::string spec = files(dir, gzip_bytes(images()), labels());
  const auto data = open_idx(spec, {.mean = {0.25}, .std = {0.5}});
  CHECK(data->size() == 2);
  CHECK(data->name() == "idx:" + spec);
  CHECK(data->targets().equal(at::tensor({7, 0}, at::kLong)));
  const Batch batch = data->get(std::vector<std::int64_t>{1, 0, 1});
  REQUIRE(batch.inputs.size() == 1);
  CHECK(batch.inputs[0].sizes() == at::IntArrayRef({3, 1, 2, 3}));
  CHECK(batch.targets.equal(at::tensor({0, 7, 0}, at::kLong)));
  const at::Tensor raw = at::tensor({100, 101, 102, 103, 104, 255}, at::kFloat).view({1, 2, 3});
  CHECK((batch.inputs[0][0] - (raw / 255 - 0.25) / 0.5).abs().max().item<float>() < 1e-6F);
  CHECK_THROWS(data->get(std::vector<std::int64_t>{2}));

  CHECK(open_idx(spec, {})->range(1, 2).inputs[0].max().item<float>() == 1);  // three channels that are alike
  const Failure colour = failure([&] { open_idx(spec, {.mean = {0.1, 0.2, 0.3}, .std = {1, 1, 1}}); });
  CHECK(colour.code == Errc::InvalidArgument);
  CHECK_THAT(colour.text, Contains("grey images need 1 mean and 1 standard deviation, got 3 and 3"));
}

TEST_CASE("idx: is a form of DATA, with slices, and with or without labels") {
  const TempDir dir;
  const std::string spec = files(dir, images(), gzip_bytes(labels()));
  const auto all = open_dataset("idx:" + spec, {});
  const auto second = open_dataset("idx:" + spec + "[1:2]", {});
  CHECK(all->size() == 2);
  REQUIRE(second->size() == 1);
  CHECK(second->range(0, 1).inputs[0].equal(all->range(1, 2).inputs[0]));
  CHECK(second->targets().item<std::int64_t>() == 0);
  const auto unlabelled = open_dataset("idx:" + (dir / "images").string(), {});
  CHECK_FALSE(unlabelled->targets().defined());
  CHECK_FALSE(unlabelled->range(0, 2).targets.defined());
}

TEST_CASE("IDX files that are damaged are refused with what is wrong") {
  CHECK_THAT(refused(""), Contains("4 bytes too early"));
  CHECK_THAT(refused("PNG!"), Contains("does not begin as an IDX file does"));
  CHECK_THAT(refused(idx_bytes({1}, "0123", 13), Errc::Unsupported), Contains("of type 13: type 8"));
  CHECK_THAT(refused(idx_bytes({}, "")), Contains("0 dimensions: 1 to 8"));
  CHECK_THAT(refused(idx_bytes(std::vector<std::uint32_t>(9, 1), "1")), Contains("9 dimensions"));
  CHECK_THAT(refused(images().substr(0, 9)), Contains("cut short"));
  CHECK_THAT(refused(images().substr(0, 20)), Contains("1 bytes too early") || Contains("8 bytes too early"));
  CHECK_THAT(refused(idx_bytes({1000}, "0")), Contains("need 1000 bytes, and it can hold 9 at most"));
  CHECK_THAT(refused(images() + "x"), Contains("more follows than its header says"));
  CHECK_THAT(refused(idx_bytes(std::vector<std::uint32_t>(8, ~0U), "x")),
             Contains("more bytes than 64 bits can count"));
  CHECK_THAT(refused(idx_bytes({0, ~0U, ~0U, ~0U}, "")), Contains("more bytes than 64 bits can count"));
}

TEST_CASE("gzip files that are damaged, longer or bombs are refused") {
  const std::string packed = gzip_bytes(images());
  CHECK_THAT(refused(packed.substr(0, packed.size() / 2)), Contains("cut short"));
  CHECK_THAT(refused(packed + "x"), Contains("more follows"));
  CHECK_THAT(refused(gzip_bytes(images() + "x")), Contains("more follows"));
  CHECK_THAT(refused(gzip_bytes(images().substr(0, 20))), Contains("too early"));
  std::string wrong = packed;
  wrong[wrong.size() - 8] = static_cast<char>(wrong[wrong.size() - 8] + 1);  // of the checksum
  CHECK_THAT(refused(wrong), Contains("gzip cannot unpack it"));
  // What unpacks to far more than the header says is not unpacked; what claims more than can be is not either.
  CHECK_THAT(refused(gzip_bytes(idx_bytes({1}, std::string(50 << 20, '\0')))), Contains("more follows"));
  CHECK_THAT(refused(gzip_bytes(idx_bytes({1 << 30}, ""))), Contains("can hold"));
}

TEST_CASE("no damaged IDX file is read out of bounds or ends the process") {
  const TempDir dir;
  const auto open = [&](const std::string& bytes) { static_cast<void>(read_idx(dir.write("x.idx", bytes))); };
  CHECK(refused_mutations(images(), 11, 400, open) > 200);
  CHECK(refused_mutations(gzip_bytes(images()), 12, 400, open) > 200);
}

TEST_CASE("images and labels that do not go together are refused") {
  const TempDir dir;
  const auto opening = [&](const std::string& image_bytes, const std::string& label_bytes) {
    const Failure bad = failure([&] { open_idx(files(dir, image_bytes, label_bytes), {}); });
    CHECK(bad.code == Errc::BadFile);
    return bad.text;
  };
  CHECK_THAT(opening(images(), idx_bytes({3}, "012")), Contains("a label for each image is needed"));
  CHECK_THAT(opening(images(), images()), Contains("a label for each image is needed"));
  CHECK_THAT(opening(labels(), labels()), Contains("images are [samples, rows, columns]"));
  CHECK_THAT(opening(idx_bytes({0, 2, 2}, ""), idx_bytes({0}, "")), Contains("at least one of each"));
  for (const std::string spec : {"", ",target=x", "x,target=", "x,target=y,target=z"})
    CHECK(failure([&] { open_idx(spec, {}); }).code == Errc::InvalidArgument);
  CHECK(failure([&] { open_idx((dir / "none").string(), {}); }).code == Errc::NotFound);
}

// Of the Debian package dataset-fashion-mnist.
TEST_CASE("Fashion-MNIST is read as it comes") {
  const std::filesystem::path folder = "/usr/share/datasets/fashion-mnist";
  if (!std::filesystem::exists(folder / "train-images-idx3-ubyte.gz")) {
    WARN("skipped: the Debian package dataset-fashion-mnist is not installed");
    return;
  }
  const auto open = [&](const std::string& part) {
    return open_dataset("idx:" + (folder / (part + "-images-idx3-ubyte.gz")).string() +
                            ",target=" + (folder / (part + "-labels-idx1-ubyte.gz")).string(),
                        {});
  };
  for (const auto& [part, count] : {std::pair{"train", 60000}, {"t10k", 10000}}) {
    const auto data = open(part);
    REQUIRE(data->size() == count);
    CHECK(data->targets().bincount().equal(at::full({10}, count / 10, at::kLong)));
    CHECK(data->range(0, 1).inputs[0].sizes() == at::IntArrayRef({1, 1, 28, 28}));
  }
  // Well known of the training images: mean 0.2860, standard deviation 0.3530.
  const at::Tensor pixels = read_idx(folder / "train-images-idx3-ubyte.gz").to(at::kFloat).div(255);
  CHECK(pixels.mean().item<double>() == Approx(0.2860).margin(1e-4));
  CHECK(pixels.std().item<double>() == Approx(0.3530).margin(1e-4));
}
