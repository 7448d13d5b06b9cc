#include "export/onnx_graph.hpp"

#include <protozero/pbf_writer.hpp>

#include "halftone/version.hpp"

namespace halftone::internal {
namespace {

using protozero::pbf_writer;

// Fields of GraphProto.
constexpr std::uint32_t kNode = 1;
constexpr std::uint32_t kGraphName = 2;
constexpr std::uint32_t kInitializer = 5;
constexpr std::uint32_t kInput = 11;
constexpr std::uint32_t kOutput = 12;

void write_value_info(std::string& into, std::uint32_t field, std::string_view name, OnnxType type,
                      std::span<const OnnxDim> shape) {
  pbf_writer graph(into);
  pbf_writer info(graph, field);
  info.add_string(1, name.data(), name.size());
  pbf_writer type_proto(info, 2);
  pbf_writer tensor(type_proto, 1);
  tensor.add_int32(1, static_cast<std::int32_t>(type));
  if (shape.empty()) tensor.add_message(2, std::string());  // of no dimensions, which is not the same as unknown
  pbf_writer dims(tensor, 2);
  for (const OnnxDim& size : shape) {
    pbf_writer dim(dims, 1);
    if (const auto* number = std::get_if<std::int64_t>(&size))
      dim.add_int64(1, *number);
    else
      dim.add_string(2, std::get<std::string>(size));
  }
}

struct AttributeWriter {
  pbf_writer& attribute;

  enum Type : std::int32_t { kFloat = 1, kInt = 2, kString = 3, kInts = 7 };

  void operator()(std::int64_t number) const {
    attribute.add_int64(3, number);
    attribute.add_enum(20, kInt);
  }
  void operator()(float number) const {
    attribute.add_float(2, number);
    attribute.add_enum(20, kFloat);
  }
  void operator()(const std::string& text) const {
    attribute.add_bytes(4, text);
    attribute.add_enum(20, kString);
  }
  void operator()(const std::vector<std::int64_t>& numbers) const {
    for (const auto number : numbers) attribute.add_int64(8, number);
    attribute.add_enum(20, kInts);
  }
};

/// The oldest version of the file format that has `opset`'s types.
std::int64_t ir_version(int opset) { return opset >= 21 ? 10 : 8; }

}  // namespace

void OnnxGraph::add_input(std::string_view name, OnnxType type, std::span<const OnnxDim> shape) {
  write_value_info(inputs_, kInput, name, type, shape);
}

void OnnxGraph::add_output(std::string_view name, OnnxType type, std::span<const OnnxDim> shape) {
  write_value_info(outputs_, kOutput, name, type, shape);
}

void OnnxGraph::add_node(const OnnxNode& node) {
  pbf_writer graph(nodes_);
  pbf_writer message(graph, kNode);
  for (const auto& input : node.inputs) message.add_string(1, input);
  for (const auto& output : node.outputs) message.add_string(2, output);
  message.add_string(3, node.name);
  message.add_string(4, node.op);
  for (const auto& [name, value] : node.attributes) {
    pbf_writer attribute(message, 5);
    attribute.add_string(1, name);
    std::visit(AttributeWriter{attribute}, value);
  }
}

void OnnxGraph::add_initializer(std::string_view name, OnnxType type, std::span<const std::int64_t> shape,
                                std::span<const std::byte> bytes) {
  pbf_writer graph(initializers_);
  pbf_writer tensor(graph, kInitializer);
  for (const auto size : shape) tensor.add_int64(1, size);
  tensor.add_int32(2, static_cast<std::int32_t>(type));
  tensor.add_string(8, name.data(), name.size());
  tensor.add_bytes(9, reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::string OnnxGraph::model(std::string_view name, int opset, const std::map<std::string, std::string>& notes) const {
  std::string graph_name;
  pbf_writer(graph_name).add_string(kGraphName, name.data(), name.size());
  std::string file;
  file.reserve(size() + 4096);
  pbf_writer model(file);
  model.add_int64(1, ir_version(opset));
  model.add_string(2, "halftone");
  model.add_string(3, HALFTONE_VERSION);
  model.add_bytes_vectored(7, nodes_, graph_name, initializers_, inputs_, outputs_);
  {
    pbf_writer opsets(model, 8);
    opsets.add_string(1, "");
    opsets.add_int64(2, opset);
  }
  for (const auto& [key, value] : notes) {
    pbf_writer note(model, 14);
    note.add_string(1, key);
    note.add_string(2, value);
  }
  return file;
}

}  // namespace halftone::internal
