#include "halftone/spatial/exchange.hpp"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <memory>
#include <utility>
#include <vector>

#include "halftone/core/error.hpp"

namespace halftone {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

constexpr std::int64_t kRows = 2;  ///< the dimension of rows
constexpr int kTag = 1;            ///< exchanges follow each other in one order everywhere: one tag serves all

/// Moves rows between ranks: a linear map, and the transposed one.
class Exchange final : public torch::CustomClassHolder {
 public:
  Exchange(const RowSplit& split, std::span<const RowRange> needed, std::vector<RowTransfer> transfers,
           Communicator& communicator)
      : held_(split.of(communicator.rank())),
        needed_(needed[static_cast<std::size_t>(communicator.rank())]),
        transfers_(std::move(transfers)),
        communicator_(communicator) {}

  /// The rows that are needed, of those that are held.
  [[nodiscard]] at::Tensor fetch(const at::Tensor& x) const {
    at::Tensor y = like(x, needed_);
    const RowRange kept = common_rows(held_, needed_);
    rows_of(y, needed_, kept).copy_(rows_of(x, held_, kept));
    move(x, held_, &RowTransfer::from, &RowTransfer::to,
         [&](RowRange rows, const at::Tensor& part) { rows_of(y, needed_, rows).copy_(part); });
    return y;
  }

  /// For the rows that are held, the sum of what ranks have that needed them.
  [[nodiscard]] at::Tensor give_back(const at::Tensor& y) const {
    at::Tensor x = like(y, held_).zero_();
    const RowRange kept = common_rows(held_, needed_);
    rows_of(x, held_, kept).copy_(rows_of(y, needed_, kept));
    move(y, needed_, &RowTransfer::to, &RowTransfer::from,
         [&](RowRange rows, const at::Tensor& part) { rows_of(x, held_, rows).add_(part); });
    return x;
  }

 private:
  static at::Tensor like(const at::Tensor& x, RowRange rows) {
    return at::empty({x.size(0), x.size(1), rows.count(), x.size(3)}, x.options());
  }
  /// `x` holds the rows `all`.
  static at::Tensor rows_of(const at::Tensor& x, RowRange all, RowRange rows) {
    return x.narrow(kRows, rows.count() > 0 ? rows.first - all.first : 0, rows.count());
  }

  /// Sends rows of `x`, which holds `held`, along all transfers whose `sender` this rank is, and calls `arrived` with
  /// those that it is the `receiver` of, in their order.
  template <class Arrived>
  void move(const at::Tensor& x, RowRange held, int RowTransfer::*sender, int RowTransfer::*receiver,
            const Arrived& arrived) const {
    struct Message {
      RowRange rows;
      at::Tensor part;
      std::unique_ptr<PendingWork> work;
    };
    std::vector<Message> incoming;
    std::vector<Message> outgoing;
    for (const RowTransfer& transfer : transfers_)
      if (transfer.*receiver == communicator_.rank()) {
        at::Tensor part = like(x, transfer.rows);
        auto work = communicator_.start_receive(part, transfer.*sender, kTag);
        incoming.push_back({transfer.rows, std::move(part), std::move(work)});
      }
    for (const RowTransfer& transfer : transfers_)
      if (transfer.*sender == communicator_.rank()) {
        at::Tensor part = rows_of(x, held, transfer.rows).contiguous();
        auto work = communicator_.start_send(part, transfer.*receiver, kTag);
        outgoing.push_back({transfer.rows, std::move(part), std::move(work)});
      }
    for (const Message& message : incoming) {
      message.work->wait();
      arrived(message.rows, message.part);
    }
    for (const Message& message : outgoing) message.work->wait();
  }

  RowRange held_;
  RowRange needed_;
  std::vector<RowTransfer> transfers_;
  Communicator& communicator_;
};

using ExchangePtr = c10::intrusive_ptr<Exchange>;

ExchangePtr exchange_of(AutogradContext* context) {
  return c10::static_intrusive_pointer_cast<Exchange>(context->saved_data["exchange"].toCapsule());
}

struct FetchRows : Function<FetchRows> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const ExchangePtr& exchange) {
    context->saved_data["exchange"] = c10::IValue::make_capsule(exchange);
    return exchange->fetch(x);
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradient);
};

struct GiveBackRows : Function<GiveBackRows> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& y, const ExchangePtr& exchange) {
    context->saved_data["exchange"] = c10::IValue::make_capsule(exchange);
    return exchange->give_back(y);
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradient) {
    return {FetchRows::apply(gradient[0], exchange_of(context)), {}};
  }
};

variable_list FetchRows::backward(AutogradContext* context, const variable_list& gradient) {
  return {GiveBackRows::apply(gradient[0], exchange_of(context)), {}};
}

/// Holds a communicator where autograd keeps what a function saved.
struct Borrowed final : torch::CustomClassHolder {
  explicit Borrowed(Communicator& borrowed) : communicator(borrowed) {}
  Communicator& communicator;
};

struct SumOverRanks : Function<SumOverRanks> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const c10::intrusive_ptr<Borrowed>& ranks) {
    context->saved_data["ranks"] = c10::IValue::make_capsule(ranks);
    at::Tensor sum = x.clone(at::MemoryFormat::Contiguous);
    ranks->communicator.all_reduce(sum);
    return sum;
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradient) {
    const auto ranks = c10::static_intrusive_pointer_cast<Borrowed>(context->saved_data["ranks"].toCapsule());
    return {SumOverRanks::apply(gradient[0], ranks), {}};
  }
};

void require_rows(const at::Tensor& x, std::int64_t rows, const char* what) {
  if (x.dim() != 4 || x.size(kRows) != rows)
    throw Error(Errc::InvalidArgument,
                message(what, " is [n, channels, rows, width] with ", rows, " rows, got ", x.sizes()));
}

}  // namespace

at::Tensor fetch_rows(const at::Tensor& x, const RowSplit& split, std::span<const RowRange> needed,
                      Communicator& communicator) {
  require_split(split, communicator.size());
  const RowRange held = split.of(communicator.rank());
  require_rows(x, held.count(), "a part of a split image");
  if (needed.size() != static_cast<std::size_t>(communicator.size()))
    throw Error(Errc::InvalidArgument,
                message("rows are needed by ", communicator.size(), " ranks, ranges of ", needed.size(), " are given"));
  for (const RowRange rows : needed)
    if (rows.count() < 0 || (rows.count() > 0 && (rows.first < 0 || rows.end > split.rows())))
      throw Error(Errc::InvalidArgument, message("rows [", rows.first, ", ", rows.end, ") are needed of an image of ",
                                                 split.rows(), " rows: leave padding out"));
  auto transfers = row_transfers(split, needed);
  if (transfers.empty()) {
    const RowRange kept = common_rows(held, needed[static_cast<std::size_t>(communicator.rank())]);
    return kept == held ? x : x.narrow(kRows, kept.count() > 0 ? kept.first - held.first : 0, kept.count());
  }
  return FetchRows::apply(x, c10::make_intrusive<Exchange>(split, needed, std::move(transfers), communicator));
}

at::Tensor gather_rows(const at::Tensor& x, const RowSplit& split, Communicator& communicator) {
  const std::vector<RowRange> all(static_cast<std::size_t>(communicator.size()), {0, split.rows()});
  return fetch_rows(x, split, all, communicator);
}

at::Tensor split_rows(const at::Tensor& whole, const RowSplit& split, int rank) {
  require_split(split, split.ranks());
  if (rank < 0 || rank >= split.ranks())
    throw Error(Errc::InvalidArgument,
                message("rank ", rank, " has no rows in a split over ", split.ranks(), " ranks"));
  require_rows(whole, split.rows(), "a whole image");
  return whole.narrow(kRows, split.of(rank).first, split.of(rank).count());
}

at::Tensor sum_over_ranks(const at::Tensor& x, Communicator& communicator) {
  if (communicator.size() == 1) return x;
  return SumOverRanks::apply(x, c10::make_intrusive<Borrowed>(communicator));
}

}  // namespace halftone
