#include "data/image_file.hpp"
#include "hostile/readers.hpp"

void hostile::read_jpeg(Bytes file) { halftone::internal::decode_jpeg({"x.jpg", file}); }
