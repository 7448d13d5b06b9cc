#include "halftone/data/dataset.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>

#include "data/batches.hpp"
#include "data/sample_index.hpp"
#include "halftone/core/digest.hpp"
#include "halftone/core/error.hpp"
#include "halftone/data/idx.hpp"
#include "halftone/data/npy.hpp"
#include "halftone/data/squad.hpp"

namespace halftone {
namespace {

/// Adds type, shape and values of samples [n, …].
void add_samples(Digest& digest, const at::Tensor& samples) {
  digest.add(c10::toString(samples.scalar_type())).add(samples.dim());
  for (const std::int64_t size : samples.sizes()) digest.add(size);
  const at::Tensor bytes = samples.detach().cpu().contiguous();
  digest.add_bytes({static_cast<const std::byte*>(bytes.const_data_ptr()), bytes.nbytes()});
}

class Subset final : public Dataset {
 public:
  Subset(std::shared_ptr<const Dataset> parent, std::vector<std::int64_t> indices, std::string name)
      : parent_(std::move(parent)),
        indices_(std::move(indices)),
        name_(std::move(name)),
        group_(kept_group(indices_, parent_->group())) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(indices_.size()); }
  Batch get(std::span<const std::int64_t> indices) const override {
    std::vector<std::int64_t> chosen;
    chosen.reserve(indices.size());
    for (const std::int64_t index : indices) {
      internal::require_sample(*this, index);
      chosen.push_back(indices_[static_cast<std::size_t>(index)]);
    }
    return parent_->get(chosen);
  }
  at::Tensor targets() const override {
    const at::Tensor all = parent_->targets();
    if (!all.defined()) return all;
    return all.index_select(0, at::tensor(indices_, at::kLong).to(all.device()));
  }
  std::string name() const override { return name_; }
  const Dataset& whole() const override { return parent_->whole(); }
  std::vector<std::int64_t> lengths() const override {
    const std::vector<std::int64_t> all = parent_->lengths();
    std::vector<std::int64_t> chosen;
    for (const std::int64_t index : indices_)
      if (!all.empty()) chosen.push_back(all[static_cast<std::size_t>(index)]);
    return chosen;
  }
  std::int64_t group() const override { return group_; }

 private:
  /// The parent's group where no sample of one is alone, else 1.
  static std::int64_t kept_group(const std::vector<std::int64_t>& indices, std::int64_t group) {
    if (std::ssize(indices) % group != 0) return 1;
    for (std::int64_t i = 0; i < std::ssize(indices); ++i) {
      const std::int64_t first = indices[static_cast<std::size_t>(i / group * group)];
      if (first % group != 0 || indices[static_cast<std::size_t>(i)] != first + i % group) return 1;
    }
    return group;
  }

  std::shared_ptr<const Dataset> parent_;
  std::vector<std::int64_t> indices_;
  std::string name_;
  std::int64_t group_;
};

/// "[a:b]" at the end of DATA; a missing bound is open.
struct Slice {
  std::optional<std::int64_t> begin;
  std::optional<std::int64_t> end;
};

/// The number that `text` holds whole; nothing where it is empty. Sets `valid` to false for anything else.
std::optional<std::int64_t> parse_bound(std::string_view text, bool& valid) {
  if (text.empty()) return std::nullopt;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  valid = valid && error == std::errc{} && end == text.data() + text.size() && number >= 0;
  return number;
}

/// Cuts a slice off the end of `spec`.
std::optional<Slice> take_slice(std::string_view& spec) {
  const auto open = spec.rfind('[');
  if (!spec.ends_with(']') || open == spec.npos) return std::nullopt;
  const std::string_view inside = spec.substr(open + 1, spec.size() - open - 2);
  const auto colon = inside.find(':');
  bool valid = colon != inside.npos;
  Slice slice;
  if (valid) slice = {parse_bound(inside.substr(0, colon), valid), parse_bound(inside.substr(colon + 1), valid)};
  if (!valid)
    throw Error(Errc::InvalidArgument,
                message("data \"", spec, "\": the slice ", spec.substr(open),
                        " is not understood: write [a:b] for samples a to b-1; a or b may be left out"));
  spec = spec.substr(0, open);
  return slice;
}

/// A form of DATA: what stands before the colon, and how what stands behind it is opened.
struct Form {
  std::string_view prefix;
  std::unique_ptr<Dataset> (*open)(const std::string& source, const DataOptions& options);
};

constexpr Form kForms[] = {
    {"cifar10:", [](const std::string& path, const DataOptions& o) { return open_cifar10(path, o.normalization); }},
    {"images:", [](const std::string& path,
                   const DataOptions& o) { return open_images(path, o.crop, o.normalization, o.resize); }},
    {"sts:", open_sentence_pairs},
    {"text:", open_sentences},
    {"idx:", [](const std::string& files, const DataOptions& o) { return open_idx(files, o.normalization); }},
    {"npy:", [](const std::string& files, const DataOptions& o) { return open_npy(files, o.input_names.size()); }},
    {"squad:",
     [](const std::string& path, const DataOptions& o) -> std::unique_ptr<Dataset> { return open_squad(path, o); }},
};

std::unique_ptr<Dataset> open_whole(std::string_view spec, const DataOptions& options) {
  for (const Form& form : kForms)
    if (spec.starts_with(form.prefix) && spec.size() > form.prefix.size())
      return form.open(std::string(spec.substr(form.prefix.size())), options);
  constexpr std::string_view tensors = ".safetensors";
  if (spec.ends_with(tensors) && spec.size() > tensors.size())
    return open_tensor_dataset(std::string(spec), options.input_names);
  throw Error(
      Errc::InvalidArgument,
      message("data \"", spec,
              "\" has no known form: use cifar10:FILE.bin (CIFAR-10, binary version), images:DIRECTORY (JPEG "
              "and PNG files, with labels.tsv or in a folder a class), sts:FILE.tsv (score, sentence1, "
              "sentence2), text:FILE.tsv (label, "
              "sentence), squad:FILE.json (SQuAD v1.1), idx:IMAGES.gz,target=LABELS.gz (grey images, as MNIST), "
              "npy:INPUT.npy,target=TARGET.npy or FILE.safetensors "
              "(the model's inputs by name, and "
              "target), each with [a:b] behind it for samples a to b-1"));
}

}  // namespace

Batch Dataset::range(std::int64_t begin, std::int64_t end) const {
  if (begin < 0 || begin > end || end > size())
    throw Error(Errc::InvalidArgument, message("data \"", name(), "\" has no samples ", begin, " to ", end,
                                               " (exclusive): it holds ", size(), " samples"));
  std::vector<std::int64_t> indices(static_cast<std::size_t>(end - begin));
  std::iota(indices.begin(), indices.end(), begin);
  return get(indices);
}

std::optional<std::string> Dataset::digest(int threads, const Monitor& monitor) const {
  const internal::BatchLoop loop{
      .samples = size(), .batch_size = 64, .threads = threads, .stage = "read", .detail = "samples"};
  std::vector<std::string> digests(static_cast<std::size_t>(loop.batches()));
  const bool completed = internal::for_each_batch(loop, monitor, [&](const internal::BatchRange& batch, std::size_t) {
    const Batch samples = range(batch.begin, batch.end);
    Digest digest;
    for (const at::Tensor& input : samples.inputs) add_samples(digest, input);
    if (samples.targets.defined()) add_samples(digest.add("target"), samples.targets);
    digests[static_cast<std::size_t>(batch.index)] = digest.hex();
  });
  if (!completed) return std::nullopt;
  Digest all;
  all.add(size());
  for (const std::string& digest : digests) all.add(digest);
  return all.hex();
}

std::unique_ptr<Dataset> make_subset(std::shared_ptr<const Dataset> parent, std::vector<std::int64_t> indices,
                                     std::string name) {
  if (!parent) throw Error(Errc::InvalidArgument, message("subset \"", name, "\" has no data to choose from"));
  if (indices.empty())
    throw Error(Errc::InvalidArgument, message("subset \"", name, "\" is empty: choose at least one sample"));
  for (const std::int64_t index : indices)
    if (index < 0 || index >= parent->size())
      throw Error(Errc::InvalidArgument, message("subset \"", name, "\" asks for sample ", index, " of \"",
                                                 parent->name(), "\", which holds ", parent->size(), " samples"));
  return std::make_unique<Subset>(std::move(parent), std::move(indices), std::move(name));
}

std::vector<std::int64_t> spread_indices(std::int64_t size, std::int64_t most, std::int64_t group) {
  const std::int64_t groups = size / group;
  const std::int64_t count = std::min((most + group - 1) / group, groups);
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 0; i < count * group; ++i) indices.push_back(i / group * groups / count * group + i % group);
  return indices;
}

std::unique_ptr<Dataset> spread_subset(std::shared_ptr<const Dataset> parent, std::int64_t most) {
  std::vector<std::int64_t> indices = spread_indices(parent->size(), most, parent->group());
  std::string name =
      std::ssize(indices) == parent->size() ? parent->name() : message(indices.size(), " of ", parent->name());
  return make_subset(std::move(parent), std::move(indices), std::move(name));
}

std::vector<std::int64_t> shortest_first(const Dataset& data) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(data.size()));
  std::iota(order.begin(), order.end(), 0);
  const std::vector<std::int64_t> lengths = data.lengths();
  const auto length = [&](std::int64_t sample) { return lengths[static_cast<std::size_t>(sample)]; };
  if (!lengths.empty())
    std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) { return length(a) < length(b); });
  return order;
}

std::shared_ptr<const Dataset> sorted_by_length(std::shared_ptr<const Dataset> parent) {
  if (parent->lengths().empty()) return parent;
  std::vector<std::int64_t> order = shortest_first(*parent);
  std::string name = parent->name();
  return make_subset(std::move(parent), std::move(order), std::move(name));
}

std::unique_ptr<Dataset> open_dataset(const std::string& spec, const DataOptions& options) {
  std::string_view source = spec;
  const auto slice = take_slice(source);
  auto whole = open_whole(source, options);
  if (!slice) return whole;
  const std::int64_t size = whole->size();
  const std::int64_t begin = slice->begin.value_or(0);
  const std::int64_t end = slice->end.value_or(size);
  if (begin >= end || end > size)
    throw Error(Errc::InvalidArgument,
                message("data \"", spec, "\": there are no samples ", begin, " to ", end,
                        " (exclusive): a slice [a:b] needs 0 <= a < b <= ", size, ", the number of samples"));
  if (const std::int64_t group = whole->group(); begin % group != 0 || end % group != 0)
    throw Error(Errc::InvalidArgument, message("data \"", spec, "\": a slice [", begin, ':', end,
                                               "] parts samples that belong together: ", "every ", group,
                                               " in a row do, so both bounds must be multiples of ", group));
  std::vector<std::int64_t> indices(static_cast<std::size_t>(end - begin));
  std::iota(indices.begin(), indices.end(), begin);
  return make_subset(std::move(whole), std::move(indices), spec);
}

}  // namespace halftone
