#include "graph/pt2/program.hpp"

#include <optional>
#include <set>
#include <utility>

#include "graph/pt2/codes.hpp"
#include "graph/pt2/dimensions.hpp"
#include "graph/pt2/nodes.hpp"

namespace halftone::internal::pt2 {

namespace {

class ProgramReader {
 public:
  ProgramReader(const Archive& archive, const LoadOptions& options)
      : json_(archive.model()),
        root_(json_, archive.place()),
        weights_(archive.weights(options.verify_weights)),
        constants_(archive.constants(options.verify_weights)),
        scope_(program_.slots),
        options_(options) {}

  Program read() {
    check_version();
    const JsonField module = root_.need("graph_module");
    const JsonField graph = module.need("graph");
    read_inputs(module.need("signature").need("input_specs"), graph);
    NodeReader nodes(program_, {program_.tensor_slots.begin(), program_.tensor_slots.end()}, options_.namespaces);
    nodes.read(graph.need("nodes"), scope_);
    read_outputs(module.need("signature").need("output_specs"));
    find_last_uses();
    return std::move(program_);
  }

 private:
  void check_version() const {
    constexpr std::int64_t kMajor = 8;
    const std::int64_t major = root_.need("schema_version").need("major").integer(0);
    if (major != kMajor)
      throw Error(Errc::Unsupported, message(root_.place(), " has schema version ", major, ", and ", kMajor,
                                             " is known: export the network with PyTorch 2.13"));
  }

  void read_inputs(const JsonField& specs, const JsonField& graph) {
    const Ranges ranges = read_ranges(root_.need("range_constraints"));
    specs.each_element([&](const JsonField& spec) {
      const Tagged kind = tagged(spec);
      if (kind.tag == "constant_input") return;  // a plain value, written into the nodes
      if (kind.tag == "user_input") return read_user_input(kind.value, graph.need("tensor_values"), ranges);
      if (kind.tag == "parameter") return add_data(kind.value, "parameter_name", weights_);
      if (kind.tag == "tensor_constant") return add_data(kind.value, "tensor_constant_name", constants_);
      if (kind.tag == "buffer")
        return add_data(kind.value, "buffer_name", kind.value.need("persistent").truth() ? weights_ : constants_);
      throw Error(Errc::Unsupported, message(spec.place(), ": inputs of kind \"", shortened(kind.tag),
                                             "\" are not known: only tensors can be inputs"));
    });
  }

  void read_user_input(const JsonField& spec, const JsonField& metas, const Ranges& ranges) {
    const Tagged argument = tagged(spec.need("arg"));
    if (argument.tag != "as_tensor")
      throw Error(Errc::Unsupported, message(spec.place(), ": an input is of kind \"", shortened(argument.tag),
                                             "\", and tensors are needed: export the network with a tensor, or with a "
                                             "fixed value, in its place"));
    const JsonField name = argument.value.need("name");
    program_.inputs.push_back(read_input(name.text(), metas.need(name.text()), ranges));
    program_.input_slots.push_back(scope_.define(name));
  }

  void add_data(const JsonField& spec, const char* key, const std::map<std::string, StoredTensor>& stored) {
    const std::string name = spec.need(key).text();
    const auto found = stored.find(name);
    if (found == stored.end()) spec.need(key).fail("the archive holds no tensor of this name");
    NamedTensor tensor;
    tensor.name = name;
    tensor.tensor = found->second.tensor;
    tensor.is_buffer = std::string_view(key) != "parameter_name";
    program_.tensors.push_back(std::move(tensor));
    program_.tensor_slots.push_back(scope_.define(spec.need("arg").need("name")));
  }

  void read_outputs(const JsonField& specs) {
    specs.each_element([&](const JsonField& spec) {
      const Tagged kind = tagged(spec);
      if (kind.tag != "user_output")
        throw Error(Errc::Unsupported, message(spec.place(), ": the program returns a \"", shortened(kind.tag),
                                               "\", so each pass changes the network or its input: export the module "
                                               "in eval mode, and let it write to copies of its inputs"));
      const JsonField argument = kind.value.need("arg");
      const Tagged value = tagged(argument);
      if (value.tag != "as_tensor") return;  // a plain value, or a size, which the caller knows
      program_.outputs.push_back(scope_.at(value.value.need("name")));
      program_.output_names.push_back(value.value.need("name").text());
    });
    if (program_.outputs.empty())
      throw Error(Errc::Unsupported, message(specs.place(), ": the program returns no tensor"));
  }

  void find_last_uses() {
    std::vector<std::optional<std::size_t>> last(program_.slots);
    for (std::size_t i = 0; i < program_.steps.size(); ++i) {
      for (const Term& argument : program_.steps[i].arguments)
        for (const std::size_t slot : read_slots(argument)) last[slot] = i;
      for (const Returned& result : program_.steps[i].results)
        for (const std::size_t slot : result.slots) last[slot] = i;
    }
    for (const std::size_t slot : program_.outputs) last[slot].reset();
    for (std::size_t slot = 0; slot < last.size(); ++slot)
      if (last[slot]) program_.steps[*last[slot]].last_uses.push_back(slot);
  }

  nlohmann::json json_;
  JsonField root_;
  std::map<std::string, StoredTensor> weights_;
  std::map<std::string, StoredTensor> constants_;
  Program program_;
  Scope scope_;
  const LoadOptions& options_;
};

}  // namespace

Program read_program(const Archive& archive, const LoadOptions& options) {
  return ProgramReader(archive, options).read();
}

}  // namespace halftone::internal::pt2
