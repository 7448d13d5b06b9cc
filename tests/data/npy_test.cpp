#include "halftone/data/npy.hpp"

#include <ATen/ATen.h>

#include <string>
#include <string_view>
#include <vector>

#include "catch.hpp"
#include "failure.hpp"
#include "mutations.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;
using namespace std::string_literals;

namespace {

std::string npy_bytes(const std::string& header, const std::string& data) {
  const auto low = static_cast<char>(header.size() & 0xff);
  const auto high = static_cast<char>(header.size() >> 8);
  return "\x93NUMPY\1\0"s + low + high + header + data;
}

std::string header_of(const std::string& type, const std::string& shape, const std::string& fortran = "False") {
  return "{'descr': '" + type + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }   \n";
}

at::Tensor read(const std::string& bytes) {
  const TempDir dir;
  return read_npy(dir.write("x.npy", bytes));
}

std::string refused(const std::string& bytes, Errc code = Errc::BadFile) {
  const Failure bad = failure([&] { static_cast<void>(read(bytes)); });
  CHECK(bad.code == code);
  CHECK_THAT(bad.text, Contains("x.npy"));
  return bad.text;
}

}  // namespace

// Golden: numpy 2.4.6, numpy.lib.format.write_array.
TEST_CASE("arrays that NumPy wrote are read, in three versions") {
  const at::Tensor big = read(
      "\223NUMPY\001\000v\000{'descr': '>f4', 'fortran_order': True, 'shape': (2, 3), }                               "
      "                            \012\000\000\000\000@@\000\000\077\200\000\000@\200\000\000@\000\000\000@\240\000\000"s);
  CHECK(big.equal(at::arange(6, at::kFloat).view({2, 3})));
  CHECK(big.is_contiguous());
  const at::Tensor two = read(
      "\223NUMPY\002\000t\000\000\000{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }                         "
      "                                 \012\001\000\000\000\000\000\000\000\376\377\377\377\377\377\377\377"s);
  CHECK(two.equal(at::tensor({1, -2}, at::kLong)));
  const at::Tensor scalar = read(
      "\223NUMPY\003\000t\000\000\000{'descr': '|b1', 'fortran_order': False, 'shape': (), }                           "
      "                                 \012\001"s);
  CHECK(scalar.equal(at::scalar_tensor(true, at::kBool)));
}

TEST_CASE("every type is read, in either byte order") {
  struct Case {
    std::string type, bytes;
    at::Tensor expected;
  };
  for (const auto& [type, bytes, expected] : std::vector<Case>{
           {"|b1", "\1\0"s, at::tensor({1, 0}, at::kByte).to(at::kBool)},
           {"|u1", "\xff\2"s, at::tensor({255, 2}, at::kByte)},
           {"|i1", "\xff\2"s, at::tensor({-1, 2}, at::kChar)},
           {"<i2", "\1\2\xff\xff"s, at::tensor({513, -1}, at::kShort)},
           {">i2", "\1\2\xff\xff"s, at::tensor({258, -1}, at::kShort)},
           {"<i4", "\1\0\0\0\xfe\xff\xff\xff"s, at::tensor({1, -2}, at::kInt)},
           {">i4", "\0\0\0\1\xff\xff\xff\xfe"s, at::tensor({1, -2}, at::kInt)},
           {">i8", "\0\0\0\0\0\0\0\1\xff\xff\xff\xff\xff\xff\xff\xfe"s, at::tensor({1, -2}, at::kLong)},
           {"<f2", "\0\x3c\0\xc0"s, at::tensor({1.F, -2.F}).to(at::kHalf)},
           {">f2", "\x3c\0\xc0\0"s, at::tensor({1.F, -2.F}).to(at::kHalf)},
           {"<f4", "\0\0\x80\x3f\0\0\0\xc0"s, at::tensor({1.F, -2.F})},
           {"<f8", "\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\0\xc0"s, at::tensor({1., -2.}, at::kDouble)},
           {">f8", "\x3f\xf0\0\0\0\0\0\0\xc0\0\0\0\0\0\0\0"s, at::tensor({1., -2.}, at::kDouble)},
       }) {
    CAPTURE(type);
    const at::Tensor found = read(npy_bytes(header_of(type, "(2,)"), bytes));
    CHECK(found.scalar_type() == expected.scalar_type());
    CHECK(found.equal(expected));
  }
}

TEST_CASE("Fortran order counts the first dimension fastest") {
  const std::string bytes = "\0\1\2\3\4\5\6\7\10\11\12\13"s;
  const at::Tensor numbers = read(npy_bytes(header_of("|u1", "(2, 3, 2)", "True"), bytes));
  for (std::int64_t i = 0; i < 2; ++i)
    for (std::int64_t j = 0; j < 3; ++j)
      for (std::int64_t k = 0; k < 2; ++k) CHECK(numbers[i][j][k].item<std::int64_t>() == i + 2 * j + 6 * k);
  CHECK(read(npy_bytes(header_of("|u1", "(2, 3, 2)"), bytes)).flatten().equal(at::arange(12, at::kByte)));
}

TEST_CASE("arrays without numbers and headers in another order are read") {
  CHECK(read(npy_bytes(header_of("<f4", "(0, 3)"), "")).sizes() == at::IntArrayRef({0, 3}));
  CHECK(read(npy_bytes("{'shape':(1,),'fortran_order':False,'descr':'|u1'}", "\7")).item<int>() == 7);
}

TEST_CASE("files that are no arrays are refused") {
  const std::string data(24, '\0');
  const auto with = [&](const std::string& header) { return refused(npy_bytes(header, data)); };
  CHECK_THAT(refused(""), Contains("does not begin as a .npy file"));
  CHECK_THAT(refused("\x93NUMPY\1\0"s), Contains("does not begin"));
  CHECK_THAT(refused("\x93NUMPY\4\0\2\0{}"s), Contains("version is 4"));
  CHECK_THAT(refused("\x93NUMPY\2\0\2\0"s), Contains("ends inside its header"));
  CHECK_THAT(refused("\x93NUMPY\1\0\xff\xff{}"s), Contains("header has 65535 bytes, and 2 follow"));
  CHECK_THAT(refused("\x93NUMPY\2\0\xff\xff\xff\xff{}"s), Contains("header has 4294967295 bytes"));
  CHECK_THAT(with(header_of("<f4", "(2, 4)")), Contains("needs 32 bytes, and 24 follow"));
  CHECK_THAT(with(header_of("<f4", "(2, 2)")), Contains("needs 16 bytes, and 24 follow"));
  CHECK_THAT(with(header_of("<f4", "(9223372036854775807, 0, 9)")), Contains("more bytes than 64 bits"));
  CHECK_THAT(with(header_of("<f4", "(99999999999999999999,)")), Contains("a size that is none"));
  CHECK_THAT(with(header_of("<f4", "(-6,)")), Contains("a size that is none"));
  CHECK_THAT(with(header_of("<f4", "(6)")), Contains("has no , at byte"));
  CHECK_THAT(with(header_of("<f4", "6")), Contains("has no ( at byte"));
  CHECK_THAT(with(header_of("<f4", "(6,,)")), Contains("a size that is none"));
  std::string many = "(";
  for (int i = 0; i < 65; ++i) many += "1,";
  CHECK_THAT(with(header_of("<f4", many + ")")), Contains("more than 64 dimensions"));
  CHECK_THAT(with(header_of("<f4", "(6,)", "0")), Contains("has no False"));
  CHECK_THAT(with("{'descr': '<f4', 'shape': (6,)}"), Contains("must hold descr, fortran_order and shape"));
  CHECK_THAT(with(header_of("<f4", "(6,)") + "x"), Contains("and nothing else"));
  CHECK_THAT(with("{'descr': '<f4', 'descr': '<f4'}"), Contains("has \"descr\" twice"));
  CHECK_THAT(with("{'order': 'C'}"), Contains("unknown key \"order\""));
  CHECK_THAT(with("{'descr': [('a', '<f4')]}"), Contains("has no ' at byte"));
  CHECK_THAT(with("{'descr"), Contains("has no ' at byte"));
  for (const char* type : {"", "f4", "<f", "<f16", "=f4", "|f4", "<c8", "|O", "<U3", "<u4", "|S1"})
    CHECK_THAT(refused(npy_bytes(header_of(type, "(6,)"), data), Errc::Unsupported), Contains("is not read"));
  CHECK(failure([] { static_cast<void>(read_npy("/nowhere/x.npy")); }).code == Errc::NotFound);
}

TEST_CASE("damaged arrays are read or refused") {
  const std::string good = npy_bytes(header_of("<f4", "(2, 3)"), std::string(24, '\1'));
  const TempDir dir;
  const int refused = refused_mutations(good, 24, 400, [&](const std::string& bytes) {
    const at::Tensor numbers = read_npy(dir.write("x.npy", bytes));
    CHECK(numbers.nbytes() <= bytes.size());
  });
  CHECK(refused > 200);
}

TEST_CASE("arrays are data: the model's inputs in its order, and a target") {
  const TempDir dir;
  const std::string a = dir.write("a.npy", npy_bytes(header_of("|u1", "(3, 1)"), "\1\2\3"));
  const std::string b = dir.write("b.npy", npy_bytes(header_of("|u1", "(3,)"), "\4\5\6"));
  const std::string t = dir.write("t.npy", npy_bytes(header_of("<i2", "(3,)"), "\7\0\10\0\11\0"s));
  const std::string spec = "npy:" + a + ",target=" + t + "," + b;
  DataOptions options;
  options.input_names = {"x", "y"};
  const auto data = open_dataset(spec + "[1:]", options);
  CHECK(data->size() == 2);
  const Batch batch = data->range(0, 2);
  CHECK(batch.inputs[0].equal(at::tensor({2, 3}, at::kByte).view({2, 1})));
  CHECK(batch.inputs[1].equal(at::tensor({5, 6}, at::kByte)));
  CHECK(batch.targets.equal(at::tensor({8, 9}, at::kShort)));
  CHECK(open_dataset(spec, options)->name() == spec);
  CHECK_FALSE(open_npy(a, 1)->targets().defined());

  const auto refused_files = [](const std::string& files, std::size_t inputs) {
    const Failure bad = failure([&] { static_cast<void>(open_npy(files, inputs)); });
    CHECK(bad.code == Errc::InvalidArgument);
    return bad.text;
  };
  CHECK_THAT(refused_files(a, 2), Contains("names 1 inputs, and the model has 2") && Contains("target=TARGET.npy"));
  CHECK_THAT(refused_files("target=" + t + ",target=" + t, 1), Contains("two targets"));
  CHECK_THAT(refused_files(a + ",", 1), Contains("no file between two commas"));
  dir.write("t.npy", npy_bytes(header_of("<i2", "(2,)"), "\7\0\10\0"s));
  CHECK_THAT(refused_files(a + ",target=" + t, 1), Contains("holds 3 samples"));
}
