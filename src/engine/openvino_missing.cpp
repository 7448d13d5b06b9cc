#include "halftone/core/error.hpp"
#include "halftone/engine/engine.hpp"

namespace halftone {

std::shared_ptr<const Engine> make_openvino_engine() {
  throw Error(Errc::Unsupported,
              "Halftone was built without OpenVINO: install it (pip install openvino==2026.4.1), configure again with "
              "-DOpenVINO_DIR=…/openvino/cmake, or take the engine \"libtorch\"");
}

bool has_openvino() { return false; }

}  // namespace halftone
