#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "data/image_file.hpp"
#include "data/jpeg_bytes.hpp"
#include "data/mutations.hpp"
#include "data/png_bytes.hpp"
#include "failure.hpp"
#include "halftone/data/dataset.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

/// Smooth colours, which JPEG keeps within a few levels, and which differ by `number`.
at::Tensor picture(std::int64_t height, std::int64_t width, int number = 0, int channels = 3) {
  const at::Tensor y = at::arange(height, at::kDouble).view({height, 1, 1});
  const at::Tensor x = at::arange(width, at::kDouble).view({1, width, 1});
  const at::Tensor c = at::arange(channels, at::kDouble).view({1, 1, channels});
  return (128 + 100 * at::sin(y / 17 + x / 23 + c + number)).to(at::kByte);
}

/// A folder with `labels.tsv` and images/0.jpg, images/1.jpg …, labelled 10, 11 …
class Folder {
 public:
  explicit Folder(const std::vector<std::string>& files) {
    std::filesystem::create_directory(dir_ / "images");
    std::string table = "name\tfilename\tindex\n";
    for (std::size_t i = 0; i < files.size(); ++i) {
      dir_.write(message("images/", i, ".jpg"), files[i]);
      table += message("cat, or dog's\timages/", i, ".jpg\t", 10 + i, '\n');
    }
    label(table);
  }

  void label(const std::string& table) const { dir_.write("labels.tsv", table); }
  [[nodiscard]] std::string path() const { return dir_.path(); }
  [[nodiscard]] std::unique_ptr<Dataset> open(std::int64_t crop, std::int64_t resize = 0) const {
    return open_images(path(), crop, {}, resize);
  }
  /// The only image, as levels from 0 to 255 [3, crop, crop].
  [[nodiscard]] at::Tensor levels(std::int64_t crop) const { return open(crop)->range(0, 1).inputs[0][0] * 255; }

 private:
  TempDir dir_;
};

/// What a triangular filter makes of [in] numbers: the definition, one output after another, in double precision.
std::vector<double> scaled(const std::vector<double>& in, std::size_t size) {
  const double step = static_cast<double>(in.size()) / static_cast<double>(size);
  const double reach = std::max(step, 1.0);
  std::vector<double> out;
  for (std::size_t i = 0; i < size; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * step;
    double sum = 0;
    double weights = 0;
    for (std::size_t j = 0; j < in.size(); ++j) {
      const double weight = std::max(0.0, 1 - std::abs(static_cast<double>(j) + 0.5 - center) / reach);
      sum += weight * in[j];
      weights += weight;
    }
    out.push_back(sum / weights);
  }
  return out;
}

/// uint8 [height, width, 3].
at::Tensor pixels(const std::string& bytes) {
  const TempDir dir;
  return internal::read_image(dir.write("x.png", bytes));
}

std::vector<double> row(const at::Tensor& values) {
  const at::Tensor numbers = values.to(at::kDouble).contiguous();
  return {numbers.const_data_ptr<double>(), numbers.const_data_ptr<double>() + numbers.numel()};
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

}  // namespace

TEST_CASE("an image gives its centre, normalised, and its label") {
  const at::Tensor pixels = picture(35, 32);
  const Folder folder({jpeg_bytes(pixels), jpeg_bytes(picture(32, 34, 1))});
  const auto data = open_images(folder.path(), 32, {{0.5, 0.5, 0}, {0.5, 0.25, 1}});
  CHECK(data->size() == 2);
  CHECK(data->name() == "images:" + folder.path());
  CHECK(data->targets().equal(at::tensor({10, 11}, at::kLong)));
  const std::vector<std::int64_t> indices{1, 0};
  const Batch batch = data->get(indices);
  CHECK(batch.targets.equal(at::tensor({11, 10}, at::kLong)));
  CHECK(batch.inputs[0].sizes() == at::IntArrayRef({2, 3, 32, 32}));
  CHECK(batch.inputs[0].scalar_type() == at::kFloat);

  // Three rows too many: one goes at the top, two at the bottom.
  const at::Tensor unit = pixels.narrow(0, 1, 32).permute({2, 0, 1}).to(at::kFloat).div(255);
  const at::Tensor mean = at::tensor({0.5F, 0.5F, 0.F}).view({3, 1, 1});
  const at::Tensor std = at::tensor({0.5F, 0.25F, 1.F}).view({3, 1, 1});
  const at::Tensor levels = (batch.inputs[0][1] - (unit - mean) / std).mul(std).mul(255);
  CHECK(levels.abs().max().item<float>() < 4);
  CHECK(levels.abs().mean().item<float>() < 1);
}

TEST_CASE("images from the crop's side to 8/7 of it are not scaled") {
  // Stripes one pixel wide, which any scaling would blur.
  for (const std::int64_t side : {56, 60, 64}) {
    const at::Tensor stripes = at::arange(side).remainder(2).mul(255).to(at::kByte);
    const Folder folder({jpeg_bytes(stripes.view({1, side, 1}).expand({side, side, 3}))});
    const at::Tensor levels = folder.levels(56);
    CHECK(levels.sub(127.5F).abs().min().item<float>() > 120);
  }
}

TEST_CASE("smaller and larger images are scaled as a triangular filter does it, then cropped") {
  struct Case {
    std::int64_t height, width, scaled_height, scaled_width;
  };
  for (const auto& [height, width, scaled_height, scaled_width] :
       {Case{20, 50, 64, 160}, {50, 20, 160, 64}, {55, 55, 64, 64}, {65, 65, 64, 64}, {300, 200, 96, 64}}) {
    CAPTURE(height, width);
    // Colours that change along the longer side alone.
    const bool wide = width >= height;
    const at::Tensor line = wide ? picture(1, width) : picture(height, 1);
    const at::Tensor pixels = line.expand({height, width, 3});
    const Folder folder({jpeg_bytes(pixels)});
    const at::Tensor levels = folder.levels(56);
    for (std::int64_t c = 0; c < 3; ++c) {
      const auto full =
          scaled(row(line.flatten(0, 1).select(1, c)), static_cast<std::size_t>(wide ? scaled_width : scaled_height));
      const auto begin = full.begin() + static_cast<std::ptrdiff_t>((full.size() - 56) / 2);
      const at::Tensor seen = wide ? levels[c][30] : levels[c].select(1, 30);
      CHECK(largest_difference(row(seen), {begin, begin + 56}) < 4);
    }
  }
}

TEST_CASE("grey images become colour and CMYK ones are refused") {
  const at::Tensor grey = picture(32, 32, 0, 1);
  const at::Tensor levels = Folder({jpeg_bytes(grey)}).levels(32);
  CHECK(levels[0].equal(levels[1]));
  CHECK(levels[0].equal(levels[2]));
  CHECK(levels[0].sub(grey.squeeze(2)).abs().max().item<float>() < 3);
  const Folder cmyk({jpeg_bytes(picture(32, 32, 0, 4))});
  const Failure bad = failure([&] { static_cast<void>(cmyk.open(32)->range(0, 1)); });
  CHECK(bad.code == Errc::BadFile);
  CHECK_THAT(bad.text, Contains("images/0.jpg") && Contains("CMYK"));
}

TEST_CASE("broken images are named when they are asked for") {
  const std::string good = jpeg_bytes(picture(40, 40));
  std::string huge = good;  // the frame header's sizes
  const auto frame = huge.find("\xff\xc0");
  REQUIRE(frame != std::string::npos);
  std::string empty_frame = good;
  for (std::size_t i = 5; i < 9; ++i) {
    huge[frame + i] = '\xfd';
    empty_frame[frame + i] = '\0';
  }
  struct Case {
    std::string bytes, expected;
  };
  for (const auto& [bytes, expected] :
       std::vector<Case>{{"", "is empty"},
                         {"no picture", "is neither a JPEG nor a PNG file"},
                         {good.substr(0, 20), "is a JPEG file without a picture (20 bytes)"},
                         {good.substr(0, good.size() / 2), "is damaged or cut short"},
                         {good.substr(0, good.size() - 2), "is damaged or cut short"},
                         {good.substr(0, good.size() - 200) + std::string(200, 'x'), "is damaged or cut short"},
                         {empty_frame, "is no JPEG file"},
                         {huge, "65021 x 65021 pixels: at most 33554432 are decoded"},
                         {jpeg_bytes(at::zeros({1, 40000, 3}, at::kByte)), "40000 x 1 pixels, too long and narrow"}}) {
    CAPTURE(expected, bytes.size());
    const Folder folder({jpeg_bytes(picture(32, 32)), bytes});
    const auto images = folder.open(32);
    CHECK(images->range(0, 1).inputs[0].size(0) == 1);
    const Failure bad = failure([&] { static_cast<void>(images->range(0, 2)); });
    CHECK(bad.code == Errc::BadFile);
    CHECK_THAT(bad.text, Contains("images/1.jpg") && Contains(expected));
  }
}

TEST_CASE("any byte may be wrong: an image is read or refused") {
  const std::string good = jpeg_bytes(picture(33, 33), 60);
  int read = 0;
  for (std::size_t i = 0; i < good.size(); i += 3) {
    std::string bytes = good;
    bytes[i] = static_cast<char>(bytes[i] ^ 0x5a);
    const Folder folder({bytes});
    try {
      const at::Tensor levels = folder.levels(32);
      CHECK(levels.ge(0).logical_and_(levels.le(255)).all().item<bool>());
      ++read;
    } catch (const Error& error) {
      CHECK(error.code() == Errc::BadFile);
    }
  }
  CHECK(read > 0);
}

TEST_CASE("a table of labels that cannot be used is refused by line and content") {
  const Folder folder({jpeg_bytes(picture(32, 32)), jpeg_bytes(picture(32, 32))});
  const auto refused = [&](const std::string& table) {
    folder.label(table);
    const Failure bad = failure([&] { static_cast<void>(folder.open(32)); });
    CHECK(bad.code == Errc::BadFile);
    CHECK_THAT(bad.text, Contains("labels.tsv"));
    return bad.text;
  };
  const std::string header = "filename\tindex\n";
  const std::string first = header + "images/0.jpg\t1\n";
  CHECK_THAT(refused(""), Contains("line 1: it is empty"));
  CHECK_THAT(refused(header), Contains("line 2: it is a header alone: one line an image is needed"));
  CHECK_THAT(refused("filename\tlabel\nimages/0.jpg\t1\n"),
             Contains("no column \"index\" among \"filename\", \"label\"") && Contains("separated by tabs"));
  CHECK_THAT(refused("filename,index\nimages/0.jpg,1\n"), Contains("no column \"filename\""));
  CHECK_THAT(refused(first + "images/1.jpg\n"), Contains("line 3: it has 1 fields separated by tabs, the header 2"));
  CHECK_THAT(refused(first + "\n"), Contains("line 3: it has 1 fields"));
  CHECK_THAT(refused(first + "images/0.jpg\t2\n"), Contains("line 3: filename \"images/0.jpg\" stands on line 2"));
  CHECK_THAT(refused(first + "./images//0.jpg\t2\n"), Contains("stands on line 2 already"));
  CHECK_THAT(refused(first + "images/2.jpg\t2\n"), Contains("line 3: there is no file \"images/2.jpg\" in"));
  CHECK_THAT(refused(first + "images\t2\n"), Contains("there is no file"));
  for (const std::string& name : {std::string("../0.jpg"), std::string("images/../../0.jpg"), std::string(".."),
                                  folder.path() + "/images/0.jpg", std::string("images/0.jpg\0", 13), std::string()})
    CHECK_THAT(refused(header + name + "\t1\n"), Contains("line 2: filename \"") && Contains("is not allowed"));
  for (const char* label : {"", "x", "-1", "1.0", "+1", " 1", "1 ", "99999999999999999999"})
    CHECK_THAT(refused(header + "images/0.jpg\t" + label + "\n"),
               Contains(message("index \"", label, "\" is no class number")) && Contains("an integer from 0"));
  CHECK(refused(header + std::string(100000, 'x') + "\t1\n").size() < 500);
}

TEST_CASE("tables with carriage returns, other columns and no last line break are read") {
  const Folder folder({jpeg_bytes(picture(32, 32)), jpeg_bytes(picture(32, 32))});
  folder.label("index\twnid\tfilename\r\n7\tn01\timages/1.jpg\r\n0\tn02\timages/0.jpg");
  CHECK(folder.open(32)->targets().equal(at::tensor({7, 0}, at::kLong)));
}

TEST_CASE("images need a folder and a network that takes square colour images") {
  const TempDir dir;
  CHECK(failure([&] { static_cast<void>(open_images(dir.path(), 32, {})); }).code == Errc::NotFound);
  for (const std::int64_t crop : {0L, -1L, 100000L}) {
    const Failure bad = failure([&] { static_cast<void>(open_images(dir.path(), crop, {})); });
    CHECK(bad.code == Errc::InvalidArgument);
    CHECK_THAT(bad.text, Contains("square colour images"));
  }
}

TEST_CASE("images are opened as the command line writes it, and digested by content") {
  const std::vector<std::string> files{jpeg_bytes(picture(40, 40)), jpeg_bytes(picture(40, 40, 1)),
                                       jpeg_bytes(picture(40, 40, 2))};
  const Folder folder(files);
  const DataOptions options{.input_names = {"input"}, .normalization = {}, .crop = 32};
  const auto part = open_dataset("images:" + folder.path() + "[1:3]", options);
  CHECK(part->size() == 2);
  CHECK(part->targets().equal(at::tensor({11, 12}, at::kLong)));
  CHECK(part->digest() == part->digest());
  CHECK(Folder(files).open(32)->digest() == folder.open(32)->digest());
  CHECK(folder.open(32)->digest() != folder.open(36)->digest());
  CHECK(folder.open(32)->digest() != Folder({files[0], files[2], files[1]}).open(32)->digest());
  const Batch all = folder.open(32)->range(0, 3);
  CHECK(make_tensor_dataset("x", all.inputs, all.targets)->digest() == folder.open(32)->digest());
}

TEST_CASE("samples may be asked for by many threads at once, and again") {
  std::vector<std::string> files;
  for (int i = 0; i < 12; ++i) files.push_back(jpeg_bytes(picture(40, 50, i)));
  const Folder folder(files);
  const auto data = folder.open(32);
  const at::Tensor expected = folder.open(32)->range(0, 12).inputs[0];
  std::vector<at::Tensor> results(4);
  std::vector<std::thread> threads;
  for (auto& result : results) threads.emplace_back([&] { result = data->range(0, 12).inputs[0]; });
  for (auto& thread : threads) thread.join();
  for (const auto& result : results) CHECK(result.equal(expected));
  std::filesystem::remove_all(std::filesystem::path(folder.path()) / "images");
  CHECK(data->range(0, 12).inputs[0].equal(expected));  // decoded once
}

TEST_CASE("PNG files give their levels, whatever their name") {
  const at::Tensor colour = picture(32, 32);
  const at::Tensor grey = picture(32, 32, 0, 1);
  const at::Tensor expected = colour.permute({2, 0, 1}).to(at::kFloat);
  CHECK(Folder({png_bytes(colour)}).levels(32).round().equal(expected));
  CHECK(Folder({png_bytes(grey)}).levels(32).round().equal(grey.permute({2, 0, 1}).expand({3, 32, 32}).to(at::kFloat)));
  // Colours under a transparency that hides them in part.
  const at::Tensor alpha = at::arange(32 * 32).remainder(256).view({32, 32, 1}).to(at::kByte);
  CHECK(Folder({png_bytes(at::cat({colour, alpha}, 2))}).levels(32).round().equal(expected));
}

// Golden: 2 x 1 pixels of 16 bits a channel (0x1234 0x8000 0xffff, 0 0x00ff 0x0100), and 2 x 1 of a palette of two
// (10 20 30, 200 100 50), both written by hand with zlib and CRC-32 of Python 3.11.
TEST_CASE("PNG files of 16 bits and with a palette are read") {
  using namespace std::string_literals;
  const std::string start = "\x89PNG\r\n\x1a\n"s;
  const std::string deep =
      start +
      "\000\000\000\015IHDR\000\000\000\002\000\000\000\001\020\002\000\000\000+\3204\236\000\000\000\025IDATx\332c\0202i`\370\377\237\201\201\341\077#\003\000\032\021\003\305Q\005\033\016\000\000\000\000IEND\256B`\202"s;
  const std::string palette =
      start +
      "\000\000\000\015IHDR\000\000\000\002\000\000\000\001\010\003\000\000\000\303\374\217\270\000\000\000\006PLTE\012\024\036\310d2w\240\263\234\000\000\000\013IDATx\332c``\004\000\000\004\000\002,\336H\255\000\000\000\000IEND\256B`\202"s;
  CHECK(pixels(deep).equal(at::tensor({0x12, 0x80, 0xff, 0, 1, 1}, at::kByte).view({1, 2, 3})));
  CHECK(pixels(palette).equal(at::tensor({10, 20, 30, 200, 100, 50}, at::kByte).view({1, 2, 3})));
}

TEST_CASE("broken PNG files are named when they are asked for") {
  const std::string good = png_bytes(picture(40, 40));
  std::string huge = good;  // the header's sizes, and its checksum
  const unsigned char sizes[] = {0, 0, 0xfd, 0xe8, 0, 0, 0xfd, 0xe8};
  std::copy(std::begin(sizes), std::end(sizes), huge.begin() + 16);
  set_png_checksum(huge, 8);
  struct Case {
    std::string bytes, expected;
  };
  for (const auto& [bytes, expected] :
       std::vector<Case>{{good.substr(0, 8), "is no PNG file that can be read"},
                         {good.substr(0, 30), "is no PNG file that can be read"},
                         {good.substr(0, good.size() / 2), "is damaged or cut short"},
                         {huge, "65000 x 65000 pixels: at most 33554432 are decoded"}}) {
    CAPTURE(expected, bytes.size());
    const Folder folder({bytes});
    const Failure bad = failure([&] { static_cast<void>(folder.levels(32)); });
    CHECK(bad.code == Errc::BadFile);
    CHECK_THAT(bad.text, Contains("images/0.jpg") && Contains(expected));
  }
}

TEST_CASE("damaged PNG and JPEG files are read or refused") {
  const auto open = [](const std::string& bytes) {
    const at::Tensor levels = Folder({bytes}).levels(32);
    CHECK(levels.ge(0).logical_and_(levels.le(255)).all().item<bool>());
  };
  CHECK(refused_mutations(png_bytes(picture(33, 33)), 25, 150, open) > 100);
  CHECK(refused_mutations(jpeg_bytes(picture(33, 33), 60), 26, 150, open) > 30);
}

TEST_CASE("the shorter side is scaled to what is asked for, also where the usual size would do") {
  const at::Tensor line = picture(1, 120);
  const Folder folder({png_bytes(line.expand({60, 120, 3}))});
  for (const std::int64_t resize : {40, 64, 60}) {
    const at::Tensor levels = folder.open(40, resize)->range(0, 1).inputs[0][0] * 255;
    const auto full = scaled(row(line.flatten(0, 1).select(1, 1)), static_cast<std::size_t>(2 * resize));
    const auto begin = full.begin() + (2 * resize - 40) / 2;
    CHECK(largest_difference(row(levels[1][20]), {begin, begin + 40}) < 1.01);
  }
  DataOptions options{.input_names = {"input"}, .normalization = {}, .crop = 40};
  options.resize = 64;
  CHECK(open_dataset("images:" + folder.path(), options)->digest() == folder.open(40, 64)->digest());
  CHECK(folder.open(40, 64)->digest() != folder.open(40)->digest());
  for (const std::int64_t resize : {39, -1, 5000}) {
    const Failure bad = failure([&] { static_cast<void>(folder.open(40, resize)); });
    CHECK(bad.code == Errc::InvalidArgument);
    CHECK_THAT(bad.text, Contains("from 40 to 4096 are allowed"));
  }
}

TEST_CASE("without a table every folder is a class, in the order of names") {
  const TempDir dir;
  for (const char* name : {"dog", "Cat", ".hidden", "ant"}) std::filesystem::create_directory(dir / name);
  dir.write("dog/b.JPG", jpeg_bytes(picture(32, 32, 1)));
  dir.write("dog/a.png", png_bytes(picture(32, 32, 2)));
  dir.write("dog/notes.txt", "no image");
  dir.write("ant/x.jpeg", jpeg_bytes(picture(32, 32, 3)));
  dir.write("readme.txt", "no class");
  const auto refused = failure([&] { static_cast<void>(open_images(dir.path(), 32, {})); });
  CHECK(refused.code == Errc::BadFile);
  CHECK_THAT(refused.text, Contains("class folder \"Cat\" holds no .jpg"));
  dir.write("Cat/z.png", png_bytes(picture(32, 32, 4)));
  const auto data = open_images(dir.path(), 32, {});
  CHECK(data->targets().equal(at::tensor({0, 1, 2, 2}, at::kLong)));
  const at::Tensor levels = (data->range(2, 3).inputs[0][0] * 255).round();
  CHECK(levels.equal(picture(32, 32, 2).permute({2, 0, 1}).to(at::kFloat)));
  dir.write("labels.tsv", "filename\tindex\ndog/a.png\t7\n");
  CHECK(open_images(dir.path(), 32, {})->targets().equal(at::tensor({7}, at::kLong)));
}
