#include "halftone/report/run_file.hpp"
#include "hostile/memory_file.hpp"

void hostile::read_run(Bytes file) { halftone::parse_run_json(text_of(file)); }
