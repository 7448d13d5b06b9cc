#include "data/image_file.hpp"
#include "hostile/readers.hpp"

void hostile::read_png(Bytes file) { halftone::internal::decode_png({"x.png", file}); }
