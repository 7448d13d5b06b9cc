#include "halftone/spatial/rows.hpp"

#include <set>

#include "catch.hpp"
#include "failure.hpp"

using namespace halftone;

TEST_CASE("even splits hold every row once, differ by a row at most and follow one another at half the height") {
  for (int ranks = 1; ranks <= 6; ++ranks)
    for (std::int64_t rows = 0; rows <= 40; ++rows) {
      const RowSplit split = split_evenly(rows, ranks);
      CHECK(split.ranks() == ranks);
      CHECK(split.rows() == rows);
      for (int rank = 0; rank < ranks; ++rank) {
        CHECK(split.of(rank).count() >= rows / ranks);
        CHECK(split.of(rank).count() <= (rows + ranks - 1) / ranks);
        const std::int64_t half = split_evenly(rows / 2, ranks).of(rank).first;
        CHECK(std::abs(2 * half - split.of(rank).first) <= 2);
      }
      CHECK(split.most_rows() == (rows + ranks - 1) / ranks);
    }
}

TEST_CASE("a window needs the rows that its taps read, found one by one") {
  for (std::int64_t kernel = 1; kernel <= 4; ++kernel)
    for (std::int64_t stride = 1; stride <= 3; ++stride)
      for (std::int64_t padding = -2; padding <= 2; ++padding)
        for (std::int64_t dilation = 1; dilation <= 3; ++dilation)
          for (const RowRange outputs : {RowRange{0, 1}, RowRange{2, 3}, RowRange{1, 5}}) {
            std::set<std::int64_t> read;
            for (std::int64_t o = outputs.first; o < outputs.end; ++o)
              for (std::int64_t tap = 0; tap < kernel; ++tap) read.insert(o * stride - padding + tap * dilation);
            const RowWindow window{kernel, stride, padding, dilation};
            CHECK(rows_needed(window, outputs) == RowRange{*read.begin(), *read.rbegin() + 1});
          }
  CHECK(rows_needed({3, 1, 1, 1}, {4, 4}) == RowRange{0, 0});
}

TEST_CASE("windows are counted as LibTorch counts them") {
  CHECK(output_rows({3, 2, 1, 1}, 7) == 4);
  CHECK(output_rows({3, 2, 0, 1}, 8) == 3);
  CHECK(output_rows({3, 2, 0, 1}, 8, true) == 4);
  CHECK(output_rows({2, 3, 1, 1}, 5, true) == 2);  // a third would start behind the image
  CHECK(output_rows({3, 1, 0, 2}, 5) == 1);
  const auto failed = failure([] { (void)output_rows({5, 1, 0, 1}, 4); });
  CHECK(failed.code == Errc::InvalidArgument);
  CHECK_THAT(failed.text, Catch::Contains("over 5 rows does not fit into 4 rows"));
}

TEST_CASE("transfers bring every rank what it needs and lacks, each row once, from the rank that holds it") {
  const RowSplit split{{0, 3, 3, 4, 9}};  // the second rank holds none
  const std::vector<RowRange> needed{{0, 5}, {2, 4}, {}, {1, 9}};
  const auto transfers = row_transfers(split, needed);
  const std::vector<RowTransfer> expected{{2, 0, {3, 4}}, {3, 0, {4, 5}}, {0, 1, {2, 3}},
                                          {2, 1, {3, 4}}, {0, 3, {1, 3}}, {2, 3, {3, 4}}};
  CHECK(transfers == expected);
  CHECK(rows_sent(transfers, 0) == 3);
  CHECK(rows_sent(transfers, 2) == 3);
  CHECK(rows_received(transfers, 0) == 2);
  CHECK(rows_received(transfers, 2) == 0);
}

TEST_CASE("splits that do not start at 0, fall, or are of other ranks are refused") {
  CHECK_NOTHROW(require_split({{0, 0, 4}}, 2));
  CHECK(failure([] { require_split({{0, 2}}, 2); }).code == Errc::InvalidArgument);
  CHECK(failure([] { require_split({{1, 2, 3}}, 2); }).code == Errc::InvalidArgument);
  CHECK(failure([] { require_split({{0, 3, 2}}, 2); }).code == Errc::InvalidArgument);
  CHECK(failure([] { (void)split_evenly(4, 0); }).code == Errc::InvalidArgument);
}
