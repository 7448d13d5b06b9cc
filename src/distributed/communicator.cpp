#include "halftone/distributed/communicator.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "distributed/reduce.hpp"
#include "halftone/core/error.hpp"

namespace halftone {
namespace {

constexpr int kTagLimit = 1 << 20;

void require_plain(const at::Tensor& tensor, const char* call, const char* name) {
  const auto refuse = [&](const std::string& problem) {
    throw Error(Errc::InvalidArgument, message(call, ": ", name, ' ', problem, ": a contiguous tensor is needed"));
  };
  if (!tensor.defined()) refuse("is undefined");
  if (tensor.layout() != at::kStrided) refuse("is sparse");
  if (!tensor.is_contiguous()) refuse(message("of shape ", tensor.sizes(), " is not contiguous"));
}

/// That `tensor` is plain, and of a type with sums.
void require_summable(const at::Tensor& tensor, const char* call, const char* name) {
  require_plain(tensor, call, name);
  if (!internal::can_reduce(tensor.scalar_type()))
    throw Error(Errc::InvalidArgument, message(call, ": no sum over ranks of tensors of type ", tensor.scalar_type(),
                                               ": floats of 16 to 64 bits, integers and booleans have one"));
}

void require_rank(int rank, int size, const char* call, const char* name) {
  if (rank < 0 || rank >= size)
    throw Error(Errc::InvalidArgument, message(call, ": ", name, " is ", rank, ": there are ranks 0 to ", size - 1));
}

/// That `whole` holds a part like `part` for each of `size` ranks.
void require_parts(const at::Tensor& whole, const at::Tensor& part, int size, const char* call, const char* whole_name,
                   const char* part_name) {
  const bool fits = whole.scalar_type() == part.scalar_type() && whole.dim() == part.dim() && part.dim() > 0 &&
                    whole.size(0) == size * part.size(0) && whole.sizes().slice(1) == part.sizes().slice(1);
  if (!fits)
    throw Error(Errc::InvalidArgument,
                message(call, ": ", whole_name, " is ", whole.scalar_type(), ' ', whole.sizes(), " and ", part_name,
                        ' ', part.scalar_type(), ' ', part.sizes(), ": on ", size, " rank", size == 1 ? "" : "s",
                        " the first must be of the same type and ", size, " times as long in its first dimension"));
}

void require_message(const at::Tensor& tensor, int peer, int tag, const Communicator& ranks, const char* call,
                     const char* name) {
  require_plain(tensor, call, "tensor");
  require_rank(peer, ranks.size(), call, name);
  if (peer == ranks.rank())
    throw Error(Errc::InvalidArgument, message(call, ": ", name, " is this rank itself, ", peer));
  if (tag < 0 || tag >= kTagLimit)
    throw Error(Errc::InvalidArgument, message(call, ": tag is ", tag, ": 0 to ", kTagLimit - 1, " are allowed"));
}

at::Tensor bytes_of(const std::string& bytes, std::int64_t length) {
  const at::Tensor tensor = at::zeros({length}, at::kByte);
  std::copy(bytes.begin(), bytes.end(), tensor.data_ptr<std::uint8_t>());
  return tensor;
}

}  // namespace

void Communicator::all_reduce(const at::Tensor& tensor, ReduceOp op) {
  require_summable(tensor, "all_reduce", "tensor");
  do_all_reduce_now(tensor, op);
}

std::unique_ptr<PendingWork> Communicator::start_all_reduce(const at::Tensor& tensor, ReduceOp op) {
  require_summable(tensor, "start_all_reduce", "tensor");
  return do_all_reduce(tensor, op);
}

void Communicator::reduce_scatter(const at::Tensor& input, const at::Tensor& output) {
  require_summable(input, "reduce_scatter", "input");
  require_plain(output, "reduce_scatter", "output");
  require_parts(input, output, size(), "reduce_scatter", "input", "output");
  do_reduce_scatter(input, output);
}

void Communicator::all_gather(const at::Tensor& input, const at::Tensor& output) {
  require_plain(input, "all_gather", "input");
  require_plain(output, "all_gather", "output");
  require_parts(output, input, size(), "all_gather", "output", "input");
  do_all_gather(input, output);
}

void Communicator::broadcast(const at::Tensor& tensor, int root) {
  require_plain(tensor, "broadcast", "tensor");
  require_rank(root, size(), "broadcast", "root");
  do_broadcast(tensor, root);
}

void Communicator::barrier() { do_barrier(); }

std::unique_ptr<PendingWork> Communicator::start_send(const at::Tensor& tensor, int to, int tag) {
  require_message(tensor, to, tag, *this, "send", "to");
  return do_send(tensor, to, tag);
}

std::unique_ptr<PendingWork> Communicator::start_receive(const at::Tensor& tensor, int from, int tag) {
  require_message(tensor, from, tag, *this, "receive", "from");
  return do_receive(tensor, from, tag);
}

std::unique_ptr<Communicator> Communicator::split(int color) {
  if (color < 0) throw Error(Errc::InvalidArgument, message("split: color is ", color, ": it counts from 0"));
  return do_split(color);
}

std::vector<std::string> Communicator::gather_bytes(const std::string& bytes) {
  const at::Tensor own = at::empty({1}, at::kLong);
  own.data_ptr<std::int64_t>()[0] = static_cast<std::int64_t>(bytes.size());
  const at::Tensor lengths = at::empty({size()}, at::kLong);
  do_all_gather(own, lengths);
  const auto* length = lengths.data_ptr<std::int64_t>();
  const std::int64_t longest = *std::max_element(length, length + size());
  const at::Tensor all = at::empty({size() * longest}, at::kByte);
  do_all_gather(bytes_of(bytes, longest), all);
  std::vector<std::string> gathered;
  for (int rank = 0; rank < size(); ++rank) {
    const auto* begin = all.data_ptr<std::uint8_t>() + rank * longest;
    gathered.emplace_back(begin, begin + length[rank]);
  }
  return gathered;
}

std::string Communicator::broadcast_bytes(const std::string& bytes, int root) {
  require_rank(root, size(), "broadcast_bytes", "root");
  const at::Tensor length = at::empty({1}, at::kLong);
  length.data_ptr<std::int64_t>()[0] = static_cast<std::int64_t>(bytes.size());
  do_broadcast(length, root);
  const std::int64_t count = *length.data_ptr<std::int64_t>();
  const at::Tensor all = rank() == root ? bytes_of(bytes, count) : at::empty({count}, at::kByte);
  do_broadcast(all, root);
  const auto* begin = all.data_ptr<std::uint8_t>();
  return {begin, begin + count};
}

}  // namespace halftone
