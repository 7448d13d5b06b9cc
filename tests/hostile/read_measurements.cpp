#include "halftone/latency/measured.hpp"
#include "hostile/memory_file.hpp"

void hostile::read_measurements(Bytes file) { halftone::parse_latency_measurements(text_of(file), "latency.json"); }
