#include "cli/progress_bar.hpp"

#include <sstream>

#include "catch.hpp"

using halftone::cli::ProgressBar;

namespace {

/// A bar whose clock is set by hand.
struct Fixture {
  explicit Fixture(std::optional<std::size_t> width)
      : bar(out, {.terminal_width = width, .now = [this] { return now; }}) {}

  std::string update(double time, std::int64_t done, std::int64_t total = 100, std::string_view detail = {}) {
    now = time;
    out.str("");
    bar.update({.stage = "search", .done = done, .total = total, .detail = detail});
    return out.str();
  }

  double now = 0;
  std::ostringstream out;
  ProgressBar bar;
};

}  // namespace

TEST_CASE("work of less than two seconds is not worth a word") {
  Fixture terminal(100);
  CHECK(terminal.update(0, 0).empty());
  CHECK(terminal.update(1.9, 99).empty());
  CHECK_FALSE(terminal.update(2, 99).empty());
}

TEST_CASE("on a terminal one line is rewritten in place, ten times a second at most") {
  Fixture terminal(100);
  terminal.update(0, 0, 100, "plan 1");
  CHECK(terminal.update(5, 50, 100, "plan 1") ==
        "\rsearch    [############............]  50 %, 5 s left  plan 1\x1b[K");
  CHECK(terminal.update(5.05, 51, 100, "plan 1").empty());
  CHECK(terminal.update(5.2, 52, 100, "plan 1").starts_with('\r'));
  terminal.out.str("");
  terminal.bar.clear();
  CHECK(terminal.out.str() == "\r\x1b[K");
  terminal.out.str("");
  terminal.bar.clear();
  CHECK(terminal.out.str().empty());
}

TEST_CASE("a line never reaches the edge of the terminal") {
  Fixture terminal(30);
  CHECK(terminal.update(9, 50, 100, "words and more words").size() == 1 + 29 + 3);
}

TEST_CASE("elsewhere a plain line comes now and then") {
  Fixture plain(std::nullopt);
  plain.update(0, 0);
  CHECK(plain.update(5, 50) == "search     50 %, 5 s left\n");
  CHECK(plain.update(14.9, 60).empty());
  CHECK(plain.update(15, 100) == "search    100 %\n");
  plain.out.str("");
  plain.bar.clear();
  CHECK(plain.out.str().empty());
}

TEST_CASE("time left is estimated from the pass under way") {
  Fixture plain(std::nullopt);
  plain.update(0, 0);
  plain.update(100, 100);
  plain.update(100, 0);
  CHECK(plain.update(200, 10) == "search     10 %, 15 min 0 s left\n");
  CHECK(plain.update(300, 0, 100, "plan 2") == "search      0 %  plan 2\n");
  CHECK(plain.update(400, 1, 100, "plan 2") == "search      1 %, 2 h 45 min left  plan 2\n");
  CHECK(plain.update(500, 1, 101, "plan 2") == "search      0 %  plan 2\n");
}

TEST_CASE("odd counts do no harm") {
  Fixture plain(std::nullopt);
  CHECK(plain.update(10, 0, 0) == "search      0 %\n");
  CHECK(plain.update(20, 7, 5) == "search    100 %\n");
  CHECK(plain.update(30, -7, 5) == "search      0 %\n");
}
