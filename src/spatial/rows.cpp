#include "halftone/spatial/rows.hpp"

#include <algorithm>

#include "halftone/core/error.hpp"

namespace halftone {

RowRange common_rows(RowRange a, RowRange b) {
  const RowRange both{std::max(a.first, b.first), std::min(a.end, b.end)};
  return both.count() > 0 ? both : RowRange{};
}

std::int64_t RowSplit::most_rows() const {
  std::int64_t most = 0;
  for (int rank = 0; rank < ranks(); ++rank) most = std::max(most, of(rank).count());
  return most;
}

void require_split(const RowSplit& split, int ranks) {
  const auto& starts = split.starts;
  if (starts.size() < 2 || split.ranks() != ranks)
    throw Error(Errc::InvalidArgument, message("a split of rows over ", ranks, " ranks has ", ranks + 1,
                                               " starts, the last one the number of rows, not ", starts.size()));
  if (starts.front() != 0 || !std::is_sorted(starts.begin(), starts.end()))
    throw Error(Errc::InvalidArgument,
                message("a split of rows starts at 0 and does not fall; rank 0 starts at ", starts.front()));
}

RowSplit split_evenly(std::int64_t rows, int ranks) {
  if (ranks < 1 || rows < 0)
    throw Error(Errc::InvalidArgument,
                message(rows, " rows over ", ranks, " ranks: at least 0 rows and 1 rank are needed"));
  RowSplit split;
  for (std::int64_t rank = 0; rank <= ranks; ++rank) split.starts.push_back(rank * rows / ranks);
  return split;
}

RowRange rows_needed(const RowWindow& window, RowRange outputs) {
  if (outputs.count() <= 0) return {};
  const std::int64_t first = window.stride * outputs.first - window.padding;
  return {first, first + window.stride * (outputs.count() - 1) + window.extent()};
}

std::int64_t output_rows(const RowWindow& window, std::int64_t rows, bool ceil_mode) {
  if (window.kernel < 1 || window.stride < 1 || window.dilation < 1)
    throw Error(Errc::InvalidArgument, message("kernel ", window.kernel, ", stride ", window.stride, ", dilation ",
                                               window.dilation, ": each is at least 1"));
  const std::int64_t left = rows + 2 * window.padding - window.extent();
  if (left < 0 && (!ceil_mode || left + window.stride - 1 < 0))
    throw Error(Errc::InvalidArgument, message("a window over ", window.extent(), " rows does not fit into ", rows,
                                               " rows with ", window.padding, " of padding on each side"));
  std::int64_t outputs = (left + (ceil_mode ? window.stride - 1 : 0)) / window.stride + 1;
  if (ceil_mode && (outputs - 1) * window.stride >= rows + window.padding) --outputs;
  return outputs;
}

std::vector<RowRange> rows_needed(const RowWindow& window, const RowSplit& image, const RowSplit& outputs) {
  std::vector<RowRange> needed;
  for (int rank = 0; rank < outputs.ranks(); ++rank)
    needed.push_back(common_rows(rows_needed(window, outputs.of(rank)), {0, image.rows()}));
  return needed;
}

std::vector<RowTransfer> row_transfers(const RowSplit& split, std::span<const RowRange> needed) {
  std::vector<RowTransfer> transfers;
  for (int to = 0; to < static_cast<int>(needed.size()); ++to)
    for (int from = 0; from < split.ranks(); ++from) {
      const RowRange rows = common_rows(split.of(from), needed[static_cast<std::size_t>(to)]);
      if (from != to && rows.count() > 0) transfers.push_back({from, to, rows});
    }
  return transfers;
}

std::int64_t rows_sent(std::span<const RowTransfer> transfers, int rank) {
  std::int64_t rows = 0;
  for (const RowTransfer& transfer : transfers)
    if (transfer.from == rank) rows += transfer.rows.count();
  return rows;
}

std::int64_t rows_received(std::span<const RowTransfer> transfers, int rank) {
  std::int64_t rows = 0;
  for (const RowTransfer& transfer : transfers)
    if (transfer.to == rank) rows += transfer.rows.count();
  return rows;
}

}  // namespace halftone
