#include <ATen/ATen.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "data/image_file.hpp"
#include "data/image_list.hpp"
#include "data/normalization.hpp"
#include "halftone/core/error.hpp"
#include "halftone/data/dataset.hpp"

namespace halftone {
namespace {

/// Bytes of crops that a set keeps.
constexpr std::int64_t kMostKept = std::int64_t{1} << 30;

/// The usual share of the scaled image's shorter side that is cropped: 224 of 256.
constexpr double kCroppedShare = 0.875;

/// Sizes in pixels: of the centre that is taken, and of the shorter side before; the latter is 0 where it depends.
struct Sizes {
  std::int64_t crop = 0;
  std::int64_t resize = 0;
};

/// [height, width, 3] with its shorter side scaled to `resize`; where that is 0, to crop / kCroppedShare where it is
/// shorter than `crop` or longer than that.
at::Tensor scaled(const at::Tensor& pixels, const Sizes& sizes, const std::filesystem::path& path) {
  const std::int64_t shorter = std::min(pixels.size(0), pixels.size(1));
  const std::int64_t longer = std::max(pixels.size(0), pixels.size(1));
  const auto usual = static_cast<std::int64_t>(static_cast<double>(sizes.crop) / kCroppedShare);
  const std::int64_t target = sizes.resize > 0 ? sizes.resize : usual;
  const std::int64_t least = sizes.resize > 0 ? sizes.resize : sizes.crop;
  if (shorter >= least && shorter <= target) return pixels;
  const std::int64_t scaled_longer = target * longer / shorter;
  if (target * scaled_longer > internal::kMostPixels)
    throw Error(Errc::BadFile,
                message("image ", path, " has ", pixels.size(1), " x ", pixels.size(0),
                        " pixels, too long and narrow to be scaled to a shorter side of ", target, ": crop it"));
  const bool wide = pixels.size(1) > pixels.size(0);
  const std::vector<std::int64_t> size{wide ? target : scaled_longer, wide ? scaled_longer : target};
  return at::_upsample_bilinear2d_aa(pixels.permute({2, 0, 1}).unsqueeze(0), size, /*align_corners=*/false)
      .squeeze(0)
      .permute({1, 2, 0});
}

/// The centre as uint8 [3, crop, crop]; of an odd margin the larger half is at the end.
at::Tensor center(const at::Tensor& pixels, std::int64_t crop) {
  return pixels.narrow(0, (pixels.size(0) - crop) / 2, crop)
      .narrow(1, (pixels.size(1) - crop) / 2, crop)
      .permute({2, 0, 1})
      .contiguous();
}

class Images final : public Dataset {
 public:
  Images(const std::string& directory, const Sizes& sizes, const ImageNormalization& normalization)
      : directory_(directory),
        sizes_(sizes),
        table_(internal::normalization_table(normalization)),
        files_(internal::list_images(directory)),
        kept_(files_.size()) {
    labels_ = at::empty({size()}, at::kLong);
    auto* out = labels_.mutable_data_ptr<std::int64_t>();
    for (const auto& file : files_) *out++ = file.label;
  }

  std::int64_t size() const override { return static_cast<std::int64_t>(files_.size()); }
  Batch get(std::span<const std::int64_t> indices) const override;
  at::Tensor targets() const override { return labels_; }
  std::string name() const override { return "images:" + directory_; }

 private:
  [[nodiscard]] at::Tensor crop(std::size_t index) const;

  std::string directory_;
  Sizes sizes_;
  internal::NormalizationTable table_;
  std::vector<internal::LabelledFile> files_;
  at::Tensor labels_;
  mutable std::mutex mutex_;
  mutable std::vector<at::Tensor> kept_;  ///< crops by sample, undefined where not decoded yet
  mutable std::int64_t kept_bytes_ = 0;
};

/// Decodes outside the lock: two threads that want one image at once both do it, and get the same.
at::Tensor Images::crop(std::size_t index) const {
  {
    const std::lock_guard lock(mutex_);
    if (kept_[index].defined()) return kept_[index];
  }
  const auto& path = files_[index].path;
  at::Tensor pixels = center(scaled(internal::read_image(path), sizes_, path), sizes_.crop);
  const std::lock_guard lock(mutex_);
  if (kept_[index].defined() || kept_bytes_ + pixels.numel() > kMostKept) return pixels;
  kept_bytes_ += pixels.numel();
  return kept_[index] = std::move(pixels);
}

Batch Images::get(std::span<const std::int64_t> indices) const {
  return internal::normalized_batch(*this, indices, {sizes_.crop, sizes_.crop}, table_, [this](std::size_t index) {
    at::Tensor pixels = crop(index);
    const auto* planes = pixels.const_data_ptr<std::uint8_t>();
    return internal::LabelledImage{planes, files_[index].label, std::move(pixels)};
  });
}

}  // namespace

std::unique_ptr<Dataset> open_images(const std::string& directory, std::int64_t crop,
                                     const ImageNormalization& normalization, std::int64_t resize) {
  constexpr std::int64_t kMostCrop = 4096;
  if (crop < 1 || crop > kMostCrop)
    throw Error(Errc::InvalidArgument, message("data \"images:", directory,
                                               "\" is for a model that takes square colour images [samples, 3, s, "
                                               "s] with s up to ",
                                               kMostCrop, crop == 0 ? ": this one does not" : message(", not ", crop)));
  if (resize != 0 && (resize < crop || resize > kMostCrop))
    throw Error(Errc::InvalidArgument,
                message("data \"images:", directory, "\" cannot be scaled to ", resize, " pixels and cropped to ", crop,
                        ": from ", crop, " to ", kMostCrop, " are allowed"));
  return std::make_unique<Images>(directory, Sizes{.crop = crop, .resize = resize}, normalization);
}

}  // namespace halftone
