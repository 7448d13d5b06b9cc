// State dicts as torch.save writes them, and pickle streams that it does not write.
#include "core/zip_bytes.hpp"
#include "hostile/seeds.hpp"

namespace hostile {

namespace {

const std::string kProtocol = "\x80\x02";
const std::string kFourFloats = "0123456789abcdef";

std::string text(const std::string& content) { return "X" + little_endian(content.size(), 4) + content; }

std::string small(int number) { return std::string("K") + static_cast<char>(number); }

/// `extra` is what the older form has in the end: no view of a part.
std::string storage(const std::string& key, int count, const std::string& extra) {
  return "(" + text("storage") + "ctorch\nFloatStorage\n" + text(key) + text("cpu") + small(count) + extra + "tQ";
}

std::string tensor(const std::string& storage, const std::string& sizes, const std::string& strides) {
  return "ctorch._utils\n_rebuild_tensor_v2\n(" + storage + small(0) + sizes + strides +
         "\x89"
         "ccollections\nOrderedDict\n)RtR";
}

/// {"w": [2, 2], "b": [3]}
std::string state_dict(const std::string& extra = "") {
  const std::string square = small(2) + small(2) + "\x86";
  return kProtocol + "}(" + text("w") + tensor(storage("0", 4, extra), square, small(2) + small(1) + "\x86") +
         text("b") + tensor(storage("1", 3, extra), small(3) + "\x85", small(1) + "\x85") + "u.";
}

std::string zip(const std::vector<std::string>& parts) {
  return zip_bytes({{"m/data.pkl", parts[0]},
                    {"m/byteorder", parts[1]},
                    {"m/data/0", parts[2]},
                    {"m/data/1", parts[3]},
                    {"m/version", "3\n"}});
}

Seed saved(const std::string& name, const std::string& pickle) {
  return {name, {pickle, "little", kFourFloats, kFourFloats.substr(4)}, zip};
}

Seed legacy() {
  const std::string magic("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 12);
  return concatenated("before 1.6", {kProtocol + magic + ".", kProtocol + "M\xe9\x03.",
                                     kProtocol + "}(" + text("little_endian") + "\x88u.", state_dict("N"),
                                     kProtocol + "](" + text("0") + text("1") + "e.",
                                     little_endian(4, 8) + kFourFloats + little_endian(3, 8) + kFourFloats.substr(4)});
}

/// A stream in which every object holds the one before it twice.
std::string doubling(std::size_t times) {
  std::string stream = kProtocol + ")q" + '\0';
  for (std::size_t i = 0; i < times; ++i) stream += std::string("0h") + '\0' + "h" + '\0' + "\x86q" + '\0';
  return stream;
}

std::string deep_dictionary(std::size_t depth) {
  return kProtocol + repeated("}" + text("k"), depth) + "}" + repeated("s", depth) + ".";
}

std::string itself() {
  return kProtocol + "}q" + '\0' + text("k") + "h" + '\0' + "s" + text("w") +
         tensor(storage("0", 4, ""), small(4) + "\x85", small(1) + "\x85") + "s.";
}

/// The list of a million pairs, made a dictionary of again and again.
std::string dictionaries() {
  return kProtocol + "]q" + '\0' + "(" + repeated("NN\x86", 200000) + "e" +
         repeated(std::string("0ccollections\nOrderedDict\nh") + '\0' + "\x85R", 1000) + ".";
}

/// An archive with a changed name of one entry, or with other content.
Seed with_entry(const std::string& name, const std::string& entry, const std::string& content = "x") {
  return seed(name, zip_bytes({{"m/data.pkl", state_dict()},
                               {"m/byteorder", "little"},
                               {"m/data/0", kFourFloats},
                               {"m/data/1", kFourFloats.substr(4)},
                               {entry, content}}));
}

/// What is said of the compressed entry in both headers: 1 GiB of content in a few bytes.
Seed deflated_bomb() {
  std::string file = zip_bytes({{"m/data.pkl", state_dict(), 0, 8}});
  const std::string gigabyte = little_endian(1u << 30, 4);
  file.replace(22, 4, gigabyte);
  file.replace(file.rfind("PK\1\2") + 24, 4, gigabyte);
  return seed("deflated bomb", file);
}

/// Two entries of the directory that share one header and its bytes.
Seed overlapping() {
  std::string file = zip_bytes({{"m/data.pkl", state_dict()}, {"m/data.pk2", state_dict()}});
  file.replace(file.rfind("PK\1\2") + 42, 4, little_endian(0, 4));
  return seed("overlapping", file);
}

}  // namespace

Seeds torch_seeds() {
  Seeds seeds;
  seeds.good = {saved("zip", state_dict()), legacy()};
  seeds.bad = {saved("marks", kProtocol + repeated("(", 3000000)),
               saved("lists", kProtocol + repeated("]", 3000000)),
               saved("lists kept", kProtocol + repeated("]\x94", 1500000)),
               saved("tuples in tuples", kProtocol + "N" + repeated("\x85", 1000000) + "."),
               saved("marks and tuples", kProtocol + repeated("(", 500000) + repeated("t", 500000) + "."),
               saved("doubling", doubling(100000) + "."),
               saved("deep dictionary", deep_dictionary(100000)),
               saved("dictionary in itself", itself()),
               saved("dictionaries of one list", dictionaries()),
               saved("long text", kProtocol + "\x8d" + little_endian(~0ULL >> 1, 8) + "x."),
               saved("long integer", kProtocol + "\x8b" + little_endian(0xffffffff, 4) + "x."),
               saved("a function", kProtocol + "cos\nsystem\n" + text("true") + "\x85R."),
               deflated_bomb(),
               overlapping(),
               with_entry("outside", "../../x"),
               with_entry("absolute", "/etc/x"),
               with_entry("zero byte", std::string("m/a\0b", 5)),
               with_entry("backslash", "m\\..\\x"),
               with_entry("drive", "C:x"),
               with_entry("twice", "m/data/0")};
  return seeds;
}

}  // namespace hostile
