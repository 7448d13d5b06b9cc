#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace halftone::internal {

/// Where a parameter lies in its group's buffer.
struct FlatParameter {
  at::Tensor tensor;
  std::int64_t offset = 0;
};

/// This rank's part of one parameter.
struct Piece {
  at::Tensor weights;         ///< [elements], a view of the buffer
  std::int64_t offset = 0;    ///< in the shard
  std::size_t parameter = 0;  ///< of the group
};

/// Parameters of one type laid one after the other, padded to equal shards.
class FlatGroup {
 public:
  /// Parameters become views of the buffer. `number` is the group's, for messages.
  FlatGroup(const std::vector<at::Tensor>& parameters, std::size_t number, int rank, int ranks);

  /// Copies gradients, 0 where there is none, into `gradients`; throws where a parameter has left the buffer.
  void collect_gradients();
  /// Points every piece's gradient into `shard_gradients`.
  void attach_gradients();
  void copy_shard();  ///< into `outgoing`

  std::vector<FlatParameter> parameters;
  std::vector<Piece> pieces;
  at::Tensor weights;          ///< [ranks n]
  at::Tensor gradients;        ///< [ranks n]
  at::Tensor shard_gradients;  ///< [n]
  at::Tensor outgoing;         ///< [n]: weights that others get

 private:
  void lay_out(int ranks);
  void cut(int rank);

  std::size_t number_;
  int rank_;
};

}  // namespace halftone::internal
