#include "data/pickle.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <unordered_map>
#include <utility>

#include "core/quoted.hpp"
#include "halftone/core/error.hpp"

namespace halftone::internal {
namespace {

using Kind = PickleNode::Kind;

// A state dict takes about 20 values and 6 nodes a tensor.
constexpr std::size_t kMostValues = 4u << 20;
constexpr std::size_t kMostNodes = 1u << 20;
constexpr std::size_t kLongestName = 256;  // of a module, or of a global in it

/// Runs one stream: a stack of values, marks in it, and a memo of values to come back to.
class Machine {
 public:
  Machine(std::span<const std::byte> bytes, const PickleOptions& options)
      : bytes_(reinterpret_cast<const char*>(bytes.data()), bytes.size()), options_(options) {}

  PickleDocument run();

 private:
  struct Opcode {
    unsigned char code;
    const char* name;
    void (Machine::*run)();  ///< null: no present Python writes it
  };
  struct Opcodes;
  static const Opcode* find(unsigned char code);

  [[noreturn]] void fail(const std::string& what, Errc code = Errc::BadFile) const {
    throw Error(code, message(options_.where, ": pickle stream, byte ", start_, ": ", what));
  }

  std::string_view take(std::uint64_t count);
  std::string_view take_line();
  template <int kBytes>
  std::uint64_t take_number();

  void count_values(std::size_t count = 1);
  void push(PickleValue value);
  PickleValue pop();
  std::vector<PickleValue> pop_to_mark();
  PickleNode& add_node(Kind kind, std::vector<PickleValue> items = {});
  void push_node(Kind kind, std::vector<PickleValue> items = {});
  PickleNode& target(Kind kind);
  const PickleNode& pop_global();
  void push_global(std::string_view module, std::string_view name);
  void remember(std::uint64_t index, PickleValue value);

  void check_protocol();
  void nothing() {}
  void skip_frame() { take_number<8>(); }
  void stop();
  void mark();
  void drop();
  void drop_to_mark() { pop_to_mark(); }
  void push_none() { push(std::monostate()); }
  template <bool kValue>
  void push_bool();
  template <int kBytes>
  void push_unsigned();
  void push_int32();
  template <int kBytes>
  void push_long();
  void push_double();
  template <int kBytes>
  void push_text();
  template <int kBytes>
  void push_bytes();
  template <Kind kKind>
  void push_empty();
  template <std::size_t kCount>
  void push_tuple();
  template <Kind kKind>
  void push_marked();
  void append();
  template <Kind kKind>
  void append_marked();
  void set_item();
  void set_items();
  template <int kBytes>
  void put();
  void memoize();
  template <int kBytes>
  void get();
  void global();
  void stack_global();
  void call();
  void call_with_keywords();
  void build();
  void persistent();

  std::string_view bytes_;
  const PickleOptions& options_;
  std::size_t at_ = 0;
  std::size_t start_ = 0;   ///< of the instruction that runs
  std::size_t values_ = 0;  ///< on the stack, marks and in the memo, all that there ever were
  bool stopped_ = false;
  std::vector<PickleValue> stack_;
  std::vector<std::size_t> marks_;  ///< sizes of the stack where they were set
  std::unordered_map<std::uint64_t, PickleValue> memo_;
  PickleDocument document_;
};

std::string_view Machine::take(std::uint64_t count) {
  if (count > bytes_.size() - at_)
    fail(message("needs ", count, " bytes, and ", bytes_.size() - at_, " follow: the file is cut short or damaged"));
  const auto taken = bytes_.substr(at_, count);
  at_ += count;
  return taken;
}

std::string_view Machine::take_line() {
  const auto line = bytes_.substr(at_, kLongestName + 1);
  const auto end = line.find('\n');
  if (end == std::string_view::npos)
    fail(message("a name does not end within ", kLongestName, " bytes: the file is damaged"));
  at_ += end + 1;
  return line.substr(0, end);
}

/// Little-endian.
template <int kBytes>
std::uint64_t Machine::take_number() {
  std::uint64_t number = 0;
  int shift = 0;
  for (const char byte : take(kBytes)) {
    number |= static_cast<std::uint64_t>(static_cast<unsigned char>(byte)) << shift;
    shift += 8;
  }
  return number;
}

void Machine::count_values(std::size_t count) {
  values_ += count;
  if (values_ > kMostValues) fail(message("more than ", kMostValues, " values: no file of weights needs as many"));
}

void Machine::push(PickleValue value) {
  count_values();
  stack_.push_back(value);
}

PickleValue Machine::pop() {
  if (stack_.size() == (marks_.empty() ? 0 : marks_.back())) fail("takes a value that is not there: it is damaged");
  const PickleValue value = stack_.back();
  stack_.pop_back();
  return value;
}

std::vector<PickleValue> Machine::pop_to_mark() {
  if (marks_.empty()) fail("goes back to a mark that is not there: it is damaged");
  const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  marks_.pop_back();
  std::vector<PickleValue> values(first, stack_.end());
  stack_.erase(first, stack_.end());
  return values;
}

PickleNode& Machine::add_node(Kind kind, std::vector<PickleValue> items) {
  if (document_.nodes.size() == kMostNodes)
    fail(message("more than ", kMostNodes, " objects: no file of weights needs as many"));
  return document_.nodes.emplace_back(PickleNode{.kind = kind, .name = {}, .items = std::move(items)});
}

void Machine::push_node(Kind kind, std::vector<PickleValue> items) { push(&add_node(kind, std::move(items))); }

/// The node on top of the stack, to add to.
PickleNode& Machine::target(Kind kind) {
  const PickleValue value = pop();
  const PickleNode* const node = node_of(value, kind);
  if (node == nullptr) fail("adds to something that cannot take it: it is damaged");
  stack_.push_back(value);
  return const_cast<PickleNode&>(*node);  // one of document_.nodes, which are not const
}

const PickleNode& Machine::pop_global() {
  const PickleNode* const node = node_of(pop(), Kind::Global);
  if (node == nullptr) fail("calls something that is no global: it is damaged");
  return *node;
}

void Machine::push_global(std::string_view module, std::string_view name) {
  PickleNode& node = add_node(Kind::Global);
  node.name = message(module == "__builtin__" ? "builtins" : module, '.', name);  // the former in Python 2
  if (!options_.is_allowed(node.name))
    fail(message("names ", internal::quoted(node.name),
                 ", which is not allowed: nothing in a file is ever run. If it holds a whole module, or objects of its "
                 "own, load it in a Python that trusts it and save module.state_dict() alone"),
         Errc::Unsupported);
  push(&node);
}

void Machine::remember(std::uint64_t index, PickleValue value) {
  count_values();
  memo_.insert_or_assign(index, value);
}

void Machine::check_protocol() {
  const auto protocol = take_number<1>();
  if (protocol < 2 || protocol > 5) fail(message("protocol ", protocol, ": 2 to 5 can be read"), Errc::Unsupported);
}

void Machine::stop() {
  document_.root = pop();
  if (!stack_.empty() || !marks_.empty()) fail("ends with values left over: it is damaged");
  stopped_ = true;
}

void Machine::mark() {
  count_values();
  marks_.push_back(stack_.size());
}

/// POP takes a mark where nothing lies on it.
void Machine::drop() {
  if (!marks_.empty() && marks_.back() == stack_.size())
    marks_.pop_back();
  else
    pop();
}

template <bool kValue>
void Machine::push_bool() {
  push(kValue);
}

template <int kBytes>
void Machine::push_unsigned() {
  push(static_cast<std::int64_t>(take_number<kBytes>()));
}

void Machine::push_int32() { push(std::int64_t{static_cast<std::int32_t>(take_number<4>())}); }

/// An integer of any length, with `kBytes` for the length.
template <int kBytes>
void Machine::push_long() {
  const auto digits = take(take_number<kBytes>());
  if (digits.size() > sizeof(std::int64_t)) return push(PickleBytes{digits});
  const bool negative = !digits.empty() && (static_cast<unsigned char>(digits.back()) & 0x80) != 0;
  std::uint64_t number = negative ? ~std::uint64_t{0} : 0;
  for (std::size_t i = digits.size(); i-- > 0;) number = number << 8 | static_cast<unsigned char>(digits[i]);
  push(static_cast<std::int64_t>(number));
}

/// Big-endian, unlike all else.
void Machine::push_double() {
  std::uint64_t bits = 0;
  for (const char byte : take(sizeof(double))) bits = bits << 8 | static_cast<unsigned char>(byte);
  push(std::bit_cast<double>(bits));
}

template <int kBytes>
void Machine::push_text() {
  push(PickleText{take(take_number<kBytes>())});
}

template <int kBytes>
void Machine::push_bytes() {
  push(PickleBytes{take(take_number<kBytes>())});
}

template <Kind kKind>
void Machine::push_empty() {
  push_node(kKind);
}

template <std::size_t kCount>
void Machine::push_tuple() {
  std::vector<PickleValue> items(kCount);
  for (std::size_t i = kCount; i-- > 0;) items[i] = pop();
  push_node(Kind::Tuple, std::move(items));
}

template <Kind kKind>
void Machine::push_marked() {
  push_node(kKind, pop_to_mark());
}

void Machine::append() {
  const PickleValue value = pop();
  target(Kind::List).items.push_back(value);
}

template <Kind kKind>
void Machine::append_marked() {
  const auto values = pop_to_mark();
  auto& items = target(kKind).items;
  items.insert(items.end(), values.begin(), values.end());
}

void Machine::set_item() {
  const PickleValue value = pop();
  const PickleValue key = pop();
  auto& items = target(Kind::Dict).items;
  items.push_back(key);
  items.push_back(value);
}

void Machine::set_items() {
  if (!marks_.empty() && (stack_.size() - marks_.back()) % 2 != 0) fail("gives a key without a value: it is damaged");
  append_marked<Kind::Dict>();
}

template <int kBytes>
void Machine::put() {
  const auto index = take_number<kBytes>();
  const PickleValue value = pop();
  stack_.push_back(value);
  remember(index, value);
}

void Machine::memoize() {
  const PickleValue value = pop();
  stack_.push_back(value);
  remember(memo_.size(), value);
}

template <int kBytes>
void Machine::get() {
  const auto index = take_number<kBytes>();
  const auto found = memo_.find(index);
  if (found == memo_.end()) fail(message("comes back to value ", index, ", which is not there: it is damaged"));
  push(found->second);
}

void Machine::global() {
  const auto module = take_line();
  push_global(module, take_line());
}

void Machine::stack_global() {
  const PickleValue name = pop();
  const PickleValue module = pop();
  const auto* const name_text = std::get_if<PickleText>(&name);
  const auto* const module_text = std::get_if<PickleText>(&module);
  if (name_text == nullptr || module_text == nullptr)
    fail("names a global by something that is no text: it is damaged");
  if (std::max(name_text->text.size(), module_text->text.size()) > kLongestName)
    fail(message("the name of a global is longer than ", kLongestName, " bytes: the file is damaged"));
  push_global(module_text->text, name_text->text);
}

/// Keys and values of the pairs that an ordered dictionary is made of; nothing where they are something else.
std::optional<std::vector<PickleValue>> pairs_of(const PickleNode& arguments) {
  std::vector<PickleValue> items;
  if (arguments.items.empty()) return items;
  const PickleNode* const list = node_of(arguments.items[0], Kind::List);
  if (list == nullptr || arguments.items.size() != 1) return std::nullopt;
  for (const auto& item : list->items) {
    const PickleNode* pair = node_of(item, Kind::List);  // from Python 2
    if (pair == nullptr) pair = node_of(item, Kind::Tuple);
    if (pair == nullptr || pair->items.size() != 2) return std::nullopt;
    items.insert(items.end(), pair->items.begin(), pair->items.end());
  }
  return items;
}

void Machine::call() {
  const PickleValue arguments = pop();
  const PickleNode& callee = pop_global();
  const PickleNode* const tuple = node_of(arguments, Kind::Tuple);
  if (tuple == nullptr) fail("calls without a tuple of arguments: it is damaged");
  if (callee.name == "collections.OrderedDict") {
    auto items = pairs_of(*tuple);
    if (!items) fail("makes a dictionary of something that is no list of pairs: it is damaged");
    count_values(items->size());
    push_node(Kind::Dict, std::move(*items));
  } else if (callee.name == "collections.defaultdict" || callee.name == "builtins.dict") {
    push_node(Kind::Dict);  // pairs follow
  } else {
    push_node(Kind::Call, {&callee, arguments});
  }
}

void Machine::call_with_keywords() {
  pop();
  call();
}

/// What it sets are attributes, such as the versions of modules: nothing that is needed.
void Machine::build() {
  pop();
  const PickleValue object = pop();
  if (node_of(object, Kind::Call) == nullptr && node_of(object, Kind::Dict) == nullptr)
    fail("sets attributes of something that has none: it is damaged");
  stack_.push_back(object);
}

void Machine::persistent() {
  const PickleValue id = pop();
  push_node(Kind::Persistent, {id});
}

struct Machine::Opcodes {
  static constexpr auto kAll = std::to_array<Opcode>({
      {0x80, "PROTO", &Machine::check_protocol},
      {0x95, "FRAME", &Machine::skip_frame},
      {'.', "STOP", &Machine::stop},
      {'(', "MARK", &Machine::mark},
      {'0', "POP", &Machine::drop},
      {'1', "POP_MARK", &Machine::drop_to_mark},
      {'N', "NONE", &Machine::push_none},
      {0x88, "NEWTRUE", &Machine::push_bool<true>},
      {0x89, "NEWFALSE", &Machine::push_bool<false>},
      {'K', "BININT1", &Machine::push_unsigned<1>},
      {'M', "BININT2", &Machine::push_unsigned<2>},
      {'J', "BININT", &Machine::push_int32},
      {0x8a, "LONG1", &Machine::push_long<1>},
      {0x8b, "LONG4", &Machine::push_long<4>},
      {'G', "BINFLOAT", &Machine::push_double},
      {0x8c, "SHORT_BINUNICODE", &Machine::push_text<1>},
      {'X', "BINUNICODE", &Machine::push_text<4>},
      {0x8d, "BINUNICODE8", &Machine::push_text<8>},
      {'U', "SHORT_BINSTRING", &Machine::push_text<1>},  // texts from Python 2
      {'T', "BINSTRING", &Machine::push_text<4>},
      {'C', "SHORT_BINBYTES", &Machine::push_bytes<1>},
      {'B', "BINBYTES", &Machine::push_bytes<4>},
      {0x8e, "BINBYTES8", &Machine::push_bytes<8>},
      {0x96, "BYTEARRAY8", &Machine::push_bytes<8>},
      {')', "EMPTY_TUPLE", &Machine::push_empty<Kind::Tuple>},
      {']', "EMPTY_LIST", &Machine::push_empty<Kind::List>},
      {'}', "EMPTY_DICT", &Machine::push_empty<Kind::Dict>},
      {0x8f, "EMPTY_SET", &Machine::push_empty<Kind::Set>},
      {0x85, "TUPLE1", &Machine::push_tuple<1>},
      {0x86, "TUPLE2", &Machine::push_tuple<2>},
      {0x87, "TUPLE3", &Machine::push_tuple<3>},
      {'t', "TUPLE", &Machine::push_marked<Kind::Tuple>},
      {0x91, "FROZENSET", &Machine::push_marked<Kind::Set>},
      {'a', "APPEND", &Machine::append},
      {'e', "APPENDS", &Machine::append_marked<Kind::List>},
      {0x90, "ADDITEMS", &Machine::append_marked<Kind::Set>},
      {'s', "SETITEM", &Machine::set_item},
      {'u', "SETITEMS", &Machine::set_items},
      {'q', "BINPUT", &Machine::put<1>},
      {'r', "LONG_BINPUT", &Machine::put<4>},
      {0x94, "MEMOIZE", &Machine::memoize},
      {'h', "BINGET", &Machine::get<1>},
      {'j', "LONG_BINGET", &Machine::get<4>},
      {'c', "GLOBAL", &Machine::global},
      {0x93, "STACK_GLOBAL", &Machine::stack_global},
      {'R', "REDUCE", &Machine::call},
      {0x81, "NEWOBJ", &Machine::call},
      {0x92, "NEWOBJ_EX", &Machine::call_with_keywords},
      {'b', "BUILD", &Machine::build},
      {'Q', "BINPERSID", &Machine::persistent},
      {'I', "INT", nullptr},
      {'L', "LONG", nullptr},
      {'F', "FLOAT", nullptr},
      {'S', "STRING", nullptr},
      {'V', "UNICODE", nullptr},
      {'P', "PERSID", nullptr},
      {'i', "INST", nullptr},
      {'o', "OBJ", nullptr},
      {'2', "DUP", nullptr},
      {'p', "PUT", nullptr},
      {'g', "GET", nullptr},
      {0x82, "EXT1", nullptr},
      {0x83, "EXT2", nullptr},
      {0x84, "EXT4", nullptr},
  });
};

const Machine::Opcode* Machine::find(unsigned char code) {
  static const auto by_code = [] {
    std::array<const Opcode*, 256> table{};
    for (const auto& opcode : Opcodes::kAll) table[opcode.code] = &opcode;
    return table;
  }();
  return by_code[code];
}

PickleDocument Machine::run() {
  while (!stopped_) {
    start_ = at_;
    const auto code = static_cast<unsigned char>(take(1)[0]);
    const Opcode* const opcode = find(code);
    if (opcode == nullptr) fail(message("instruction ", int{code}, " is none: this is no pickle, or a damaged one"));
    if (opcode->run == nullptr)
      fail(message("instruction ", opcode->name, ", which torch.save does not write"), Errc::Unsupported);
    (this->*opcode->run)();
  }
  document_.size = at_;
  return std::move(document_);
}

}  // namespace

const PickleNode* node_of(const PickleValue& value, PickleNode::Kind kind) {
  const auto* const node = std::get_if<const PickleNode*>(&value);
  return node != nullptr && (*node)->kind == kind ? *node : nullptr;
}

std::optional<std::string_view> text_of(const PickleValue& value) {
  const auto* const text = std::get_if<PickleText>(&value);
  return text == nullptr ? std::nullopt : std::optional(text->text);
}

std::string_view callee_of(const PickleValue& value) {
  const PickleNode* const call = node_of(value, PickleNode::Kind::Call);
  return call == nullptr ? std::string_view() : std::get<const PickleNode*>(call->items[0])->name;
}

const std::vector<PickleValue>& arguments_of(const PickleValue& call) {
  return std::get<const PickleNode*>(std::get<const PickleNode*>(call)->items[1])->items;
}

PickleDocument read_pickle(std::span<const std::byte> bytes, const PickleOptions& options) {
  return Machine(bytes, options).run();
}

}  // namespace halftone::internal
