#include "report/text.hpp"

#include "catch.hpp"

using namespace halftone::internal;

TEST_CASE("numbers are written for people") {
  CHECK(grouped(0) == "0");
  CHECK(grouped(999) == "999");
  CHECK(grouped(1000) == "1,000");
  CHECK(grouped(-123456) == "-123,456");
  CHECK(grouped(1234567890) == "1,234,567,890");
  CHECK(percent(0.99934) == "99.93 %");
  CHECK(percent(-0.333, 1) == "-33.3 %");
  CHECK(significant(0.000123456) == "0.0001235");
  CHECK(fixed(2.0 / 3, 3) == "0.667");
}

TEST_CASE("bars show every value above zero") {
  CHECK(bar(0, 10).empty());
  CHECK(bar(-1, 10).empty());
  CHECK(bar(0.001, 10) == "#");
  CHECK(bar(0.5, 10) == "#####");
  CHECK(bar(7, 10) == "##########");
}

TEST_CASE("columns are counted in characters, not bytes") {
  CHECK(columns("") == 0);
  CHECK(columns("a…b") == 3);
}

TEST_CASE("long names keep their end, and control characters go") {
  CHECK(shortened("layer.0.conv", 12) == "layer.0.conv");
  CHECK(shortened("encoder.layer.0.conv", 12) == "..yer.0.conv");
  CHECK(columns(shortened("ääääääääääääää", 6)) == 6);
  CHECK(shortened("a\x1b[31m\n", 20) == "a?[31m?");
}

TEST_CASE("text is broken between words") {
  CHECK(wrapped("one two three", 0, 8) == "one two\nthree");
  CHECK(wrapped("one two three", 2, 8) == "one\n  two\n  three");
  CHECK(wrapped("a verylongword b", 0, 5) == "a\nverylongword\nb");
  CHECK(wrapped("a 99.9 % b", 0, 8) == "a 99.9 %\nb");
  CHECK(wrapped("a 99.9 % b", 0, 7) == "a\n99.9 %\nb");
  CHECK(wrapped("", 4).empty());
}

TEST_CASE("tables are aligned and fit into 100 columns") {
  using enum TextTable::Align;
  TextTable table({Left, Right, Left});
  table.add({"name", "n", "note"});
  table.add({"ä", "12", ""});
  CHECK(table.text() == "  name   n  note\n  ä     12\n");

  TextTable wide({Left, Right, Left});
  std::string words = "word";
  for (int i = 0; i < 40; ++i) words += " word";
  wide.add({std::string(80, 'x'), "1", words});
  const std::string text = wide.text();
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = text.find('\n', begin);
    CHECK(end - begin <= kTextWidth);
    begin = end + 1;
  }
}

TEST_CASE("short latencies are given in microseconds") {
  CHECK(with_unit(0.00083, "ms") == "0.83 us");
  CHECK(with_unit(0.25, "ms") == "0.25 ms");
  CHECK(with_unit(0.01, "x all-16") == "0.01 x all-16");
}

TEST_CASE("ties are rounded up, as the page does") {
  CHECK(halftone::internal::percent(721.0 / 800) == "90.13 %");
  CHECK(halftone::internal::fixed(0.125, 2) == "0.13");
  CHECK(halftone::internal::fixed(-0.125, 2) == "-0.13");
  CHECK(halftone::internal::significant(2.5, 1) == "3");
  CHECK(halftone::internal::change(1, 1.0004) == "0.0 %");
  CHECK(halftone::internal::change(1, 0.9996) == "0.0 %");
  CHECK(halftone::internal::significant(12345.4, 4) == "12,345");
}
