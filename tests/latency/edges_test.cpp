#include <vector>

#include "catch.hpp"
#include "halftone/latency/measured.hpp"

using namespace halftone;

namespace {

/// A graph of operators and sites, without shapes.
struct Net {
  Net() { graph.inputs = {value()}; }

  ValueId op(const std::vector<ValueId>& reads) {
    Node node{.op = "aten::some", .overload = "", .arguments = {}, .outputs = {}};
    for (const ValueId id : reads) node.arguments.emplace_back(ValueRef{id});
    const ValueId id = value();
    node.outputs = {{false, {id}}};
    graph.nodes.push_back(std::move(node));
    return id;
  }

  ValueId site(ValueId input, std::int64_t elements) {
    Site site;
    site.node = graph.nodes.size();
    site.input = input;
    site.input_elements = elements;
    sites.push_back(site);
    return op({input});
  }

  [[nodiscard]] std::vector<SiteEdge> edges() const { return find_edges(graph, sites); }

  Graph graph;
  std::vector<Site> sites;

 private:
  ValueId value() {
    graph.values.emplace_back();
    return static_cast<ValueId>(graph.values.size() - 1);
  }
};

using Edges = std::vector<SiteEdge>;

}  // namespace

TEST_CASE("in a chain every site is joined to the one before it, through other operators too") {
  Net net;
  const ValueId first = net.site(0, 10);
  const ValueId second = net.site(net.op({net.op({first})}), 20);
  net.site(second, 30);
  CHECK(net.edges() == Edges{{0, 1, 20}, {1, 2, 30}});
}

TEST_CASE("a site that reads the graph's input has nothing before it") {
  Net net;
  net.site(net.op({0}), 10);
  CHECK(net.edges().empty());
}

TEST_CASE("a sum comes from the later of the two sites") {
  Net net;
  const ValueId stem = net.site(0, 10);
  const ValueId branch = net.site(net.site(stem, 20), 30);
  net.site(net.op({branch, stem}), 40);
  CHECK(net.edges() == Edges{{0, 1, 20}, {1, 2, 30}, {2, 3, 40}});
}

TEST_CASE("a value that several sites read is converted once for all of them") {
  Net net;
  const ValueId shared = net.op({net.site(0, 10)});
  for (int reader = 0; reader < 3; ++reader) net.site(shared, 20);
  CHECK(net.edges() == Edges{{0, 1, 20}, {1, 2, 20}, {1, 3, 20}});
}

TEST_CASE("sites that read the graph's input are joined to the first of them") {
  Net net;
  net.site(0, 10);
  net.site(0, 10);
  CHECK(net.edges() == Edges{{0, 1, 10}});
}

TEST_CASE("an operator's further results are followed") {
  Net net;
  const ValueId first = net.site(0, 10);
  const ValueId one = net.op({first});
  const ValueId two = net.op({});
  net.graph.nodes.pop_back();
  net.graph.nodes.back().outputs = {{true, {one, two}}};
  net.site(two, 20);
  CHECK(net.edges() == Edges{{0, 1, 20}});
}

TEST_CASE("a graph without sites has no edges") {
  Net net;
  net.op({0});
  CHECK(net.edges().empty());
}
