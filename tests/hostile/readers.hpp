#pragma once

#include <cstddef>
#include <span>

/// Everything that Halftone reads of files from outside, one function a format. Each reads `file`, with what a caller
/// would do to its content next, or throws halftone::Error; anything else is a bug. A format's function is what the
/// mutation test and the fuzzer of its name call.
namespace hostile {

using Bytes = std::span<const std::byte>;

void read_idx(Bytes file);  ///< plain or gzip
void read_jpeg(Bytes file);
void read_measurements(Bytes file);  ///< latency measurements, as `quantize` caches them
void read_npy(Bytes file);
void read_plan(Bytes file);
void read_png(Bytes file);
void read_pt2(Bytes file);
void read_rules(Bytes file);  ///< rules.json: rules of sites, whose patterns are matched as well
void read_run(Bytes file);
void read_safetensors(Bytes file);
void read_sensitivity(Bytes file);
void read_sentence_pairs(Bytes file);
void read_squad(Bytes file);
void read_table(Bytes file);  ///< latencies of `table:FILE`
void read_torch(Bytes file);  ///< state dicts of torch.save
void read_vocabulary(Bytes file);

}  // namespace hostile
