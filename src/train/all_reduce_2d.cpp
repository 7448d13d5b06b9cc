#include "halftone/train/all_reduce_2d.hpp"

#include <ATen/ATen.h>

#include "halftone/core/error.hpp"

namespace halftone {

RankGrid make_rank_grid(Communicator& communicator, int columns) {
  if (columns < 1 || communicator.size() % columns != 0)
    throw Error(Errc::InvalidArgument, message("grid of ranks: ", communicator.size(), " ranks do not fill ", columns,
                                               " columns: give a divisor of ", communicator.size()));
  RankGrid grid;
  grid.row = communicator.split(communicator.rank() / columns);
  grid.column = communicator.split(communicator.rank() % columns);
  return grid;
}

void all_reduce_2d(const at::Tensor& tensor, const RankGrid& grid) {
  if (!tensor.is_contiguous())
    throw Error(Errc::InvalidArgument, "all_reduce_2d: the tensor is not contiguous: call contiguous() and keep it");
  const int columns = grid.row->size();
  const at::Tensor flat = tensor.detach().view(-1);
  const std::int64_t share = (flat.numel() + columns - 1) / columns;
  const bool fits = share * columns == flat.numel();
  const at::Tensor all = fits ? flat : at::constant_pad_nd(flat, {0, share * columns - flat.numel()});
  const at::Tensor part = at::empty({share}, flat.options());
  grid.row->reduce_scatter(all, part);
  grid.column->all_reduce(part);
  grid.row->all_gather(part, all);
  if (!fits) flat.copy_(all.narrow(0, 0, flat.numel()));
}

}  // namespace halftone
