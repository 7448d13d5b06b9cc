#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace halftone {

/// Rows [first, end) of an image.
struct RowRange {
  std::int64_t first = 0;
  std::int64_t end = 0;

  [[nodiscard]] std::int64_t count() const { return end - first; }
  bool operator==(const RowRange&) const = default;
};

/// Rows of both; {0, 0} where there are none.
RowRange common_rows(RowRange a, RowRange b);

/// How the rows of an image are shared out: each rank holds neighbouring rows, in the order of ranks. A rank may hold
/// none.
struct RowSplit {
  std::vector<std::int64_t> starts;  ///< by rank, and the number of rows behind them

  [[nodiscard]] int ranks() const { return static_cast<int>(starts.size()) - 1; }
  [[nodiscard]] std::int64_t rows() const { return starts.back(); }
  [[nodiscard]] RowRange of(int rank) const {
    return {starts[static_cast<std::size_t>(rank)], starts[static_cast<std::size_t>(rank) + 1]};
  }
  /// The most that a rank holds.
  [[nodiscard]] std::int64_t most_rows() const;
  bool operator==(const RowSplit&) const = default;
};

/// Throws `InvalidArgument` where starts do not begin with 0 or fall, or are not those of `ranks` ranks.
void require_split(const RowSplit& split, int ranks);

/// Rank r starts at row floor(r rows / ranks): the split that depends on nothing but the number of rows. Equal images
/// are split equally, so sums of them need no exchange, and a map of half as many rows starts within a row of half as
/// far on every rank. Throws `InvalidArgument` for fewer than 1 rank or 0 rows.
RowSplit split_evenly(std::int64_t rows, int ranks);

/// The rows that an operator reads for one row of its output.
struct RowWindow {
  std::int64_t kernel = 1;
  std::int64_t stride = 1;
  std::int64_t padding = 0;  ///< above the image; negative where rows are left out there
  std::int64_t dilation = 1;

  /// From the first to the last row that a window covers.
  [[nodiscard]] std::int64_t extent() const { return dilation * (kernel - 1) + 1; }
  bool operator==(const RowWindow&) const = default;
};

/// Rows that `outputs` are made of: [s o0 - p, s (o1 - 1) - p + d (k - 1) + 1), which reaches beyond the image where
/// there is padding. {0, 0} for no outputs.
RowRange rows_needed(const RowWindow& window, RowRange outputs);

/// Rows of the output of a window over `rows` rows, with as much padding below as above. In `ceil_mode` the last
/// window may reach beyond the padding if it starts before it. Throws `InvalidArgument` where no window fits.
std::int64_t output_rows(const RowWindow& window, std::int64_t rows, bool ceil_mode = false);

/// What every rank needs of an image for its rows of `outputs`, without rows that are padding.
std::vector<RowRange> rows_needed(const RowWindow& window, const RowSplit& image, const RowSplit& outputs);

/// Rows that one rank needs and another holds.
struct RowTransfer {
  int from = 0;
  int to = 0;
  RowRange rows;

  bool operator==(const RowTransfer&) const = default;
};

/// All transfers of an exchange after which rank r has the rows `needed[r]` of an image split by `split`: by receiver,
/// then by sender. Every rank computes the whole list: nothing is negotiated.
std::vector<RowTransfer> row_transfers(const RowSplit& split, std::span<const RowRange> needed);

/// Rows that leave `rank`, and those that come in.
std::int64_t rows_sent(std::span<const RowTransfer> transfers, int rank);
std::int64_t rows_received(std::span<const RowTransfer> transfers, int rank);

}  // namespace halftone
