#include "distributed/laws.hpp"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <sstream>

#include "halftone/core/error.hpp"
#include "halftone/distributed/agreement.hpp"

using namespace halftone;

namespace {

const std::vector<at::ScalarType> kTypes{at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kLong,
                                         at::kInt,   at::kShort,  at::kChar, at::kByte,     at::kBool};

/// What rank `rank` has, so that each rank knows what the others have.
at::Tensor values(int rank, at::IntArrayRef shape, at::ScalarType type) {
  const auto generator = at::detail::createCPUGenerator(17 + static_cast<std::uint64_t>(rank));
  if (at::isFloatingType(type)) return at::randn(shape, generator, at::kDouble).to(type);
  return at::randint(0, type == at::kBool ? 2 : 20, shape, generator, at::kLong).to(type);
}

/// The plain computation: in the order of ranks, every step rounded to the type.
at::Tensor combined(const std::vector<at::Tensor>& parts, ReduceOp op) {
  at::Tensor total = parts.front().clone();
  for (std::size_t i = 1; i < parts.size(); ++i)
    total = op == ReduceOp::Sum ? (total.scalar_type() == at::kBool ? total.logical_or(parts[i]) : total + parts[i])
                                : at::maximum(total, parts[i]);
  return total;
}

bool same(const at::Tensor& a, const at::Tensor& b) { return a.scalar_type() == b.scalar_type() && a.equal(b); }

class Laws {
 public:
  explicit Laws(Communicator& ranks) : ranks_(ranks), size_(ranks.size()), rank_(ranks.rank()) {}

  std::vector<std::string> run() {
    collectives();
    long_sums();
    special_numbers();
    several_under_way();
    messages();
    bytes();
    traffic();
    splits();
    agreement();
    return broken_;
  }

 private:
  void expect(bool holds, const std::string& law) {
    if (!holds) broken_.push_back(message("rank ", rank_, " of ", size_, " (", ranks_.engine(), "): ", law));
  }

  std::vector<at::Tensor> everyones(at::IntArrayRef shape, at::ScalarType type) const {
    std::vector<at::Tensor> all;
    for (int rank = 0; rank < size_; ++rank) all.push_back(values(rank, shape, type));
    return all;
  }

  void collectives() {
    for (const auto type : kTypes)
      for (const std::int64_t length : {0, 1, 3, 1000, 4099}) {
        const std::string of = message(" of ", length, " elements of ", type);
        const auto all = everyones({length}, type);
        const at::Tensor& own = all[static_cast<std::size_t>(rank_)];
        for (const auto op : {ReduceOp::Sum, ReduceOp::Max}) {
          const at::Tensor tensor = own.clone();
          ranks_.all_reduce(tensor, op);
          expect(same(tensor, combined(all, op)), (op == ReduceOp::Sum ? "sum" : "maximum") + of);
        }
        const at::Tensor gathered = at::empty({size_ * length}, type);
        ranks_.all_gather(own, gathered);
        expect(same(gathered, at::cat(all)), "all-gather" + of);
        for (int root = 0; root < size_; ++root) {
          const at::Tensor tensor = own.clone();
          ranks_.broadcast(tensor, root);
          expect(same(tensor, all[static_cast<std::size_t>(root)]), "broadcast" + of);
        }
        const auto inputs = everyones({size_ * length, 2}, type);
        const at::Tensor output = at::empty({length, 2}, type);
        ranks_.reduce_scatter(inputs[static_cast<std::size_t>(rank_)], output);
        expect(same(output, combined(inputs, ReduceOp::Sum).slice(0, rank_ * length, (rank_ + 1) * length)),
               "reduce-scatter" + of);
      }
    const at::Tensor scalar = at::full({}, rank_ + 1.0, at::kDouble);
    ranks_.all_reduce(scalar);
    expect(scalar.item<double>() == size_ * (size_ + 1) / 2.0, "sum of numbers without dimensions");
    ranks_.barrier();
  }

  /// Of several messages a rank; parts that do not have as many.
  void long_sums() {
    for (const std::int64_t length : {size_ * 300'001, size_ * 262'144 + 1}) {
      const auto all = everyones({length}, at::kFloat);
      const at::Tensor tensor = all[static_cast<std::size_t>(rank_)].clone();
      ranks_.all_reduce(tensor);
      expect(same(tensor, combined(all, ReduceOp::Sum)), message("sum of ", length, " numbers"));
    }
  }

  void special_numbers() {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const double infinity = std::numeric_limits<double>::infinity();
    for (const auto op : {ReduceOp::Sum, ReduceOp::Max}) {
      const at::Tensor tensor = at::tensor({rank_ == size_ - 1 ? nan : 1.0, rank_ == 0 ? infinity : 1.0, -3.0});
      ranks_.all_reduce(tensor, op);
      expect(std::isnan(tensor[0].item<double>()), "one NaN makes a NaN");
      expect(tensor[1].item<double>() == infinity, "infinity stays");
      expect(tensor[2].item<double>() == (op == ReduceOp::Sum ? -3.0 * size_ : -3.0), "the maximum may be negative");
    }
  }

  void several_under_way() {
    std::vector<at::Tensor> tensors;
    std::vector<std::unique_ptr<PendingWork>> works;
    for (int i = 0; i < 6; ++i) {
      tensors.push_back(values(rank_, {1000 * i + 1}, at::kFloat));
      works.push_back(ranks_.start_all_reduce(tensors.back()));
    }
    const at::Tensor between = values(rank_, {77}, at::kDouble);
    ranks_.all_reduce(between);
    expect(same(between, combined(everyones({77}, at::kDouble), ReduceOp::Sum)), "a sum while others are under way");
    for (int i = 5; i >= 0; --i) works[static_cast<std::size_t>(i)]->wait();
    for (int i = 0; i < 6; ++i)
      expect(same(tensors[static_cast<std::size_t>(i)], combined(everyones({1000 * i + 1}, at::kFloat), ReduceOp::Sum)),
             message("sum ", i, " of 6 under way at once"));
  }

  void messages() {
    for (int other = 0; other < size_; ++other) {
      if (other == rank_) continue;
      const at::Tensor own = values(rank_, {300, 1000}, at::kFloat);  // more than a socket holds
      const at::Tensor second = at::full({3}, rank_, at::kLong);
      const at::Tensor theirs = at::empty_like(own);
      const at::Tensor their_second = at::empty_like(second);
      std::vector<std::unique_ptr<PendingWork>> works;
      works.push_back(ranks_.start_send(own, other, 5));
      works.push_back(ranks_.start_send(second, other, 6));
      works.push_back(ranks_.start_receive(their_second, other, 6));
      works.push_back(ranks_.start_receive(theirs, other, 5));
      for (const auto& work : works) work->wait();
      expect(same(theirs, values(other, {300, 1000}, at::kFloat)), "a message of each of two ranks at once");
      expect(same(their_second, at::full({3}, other, at::kLong)), "tags tell messages apart");
    }
    if (size_ == 1) return;
    // Round the ring, and nothing at all.
    const at::Tensor token = at::full({1}, 1.0, at::kDouble);
    if (rank_ > 0) ranks_.receive(token, rank_ - 1);
    token.add_(1);
    ranks_.send(token, (rank_ + 1) % size_);
    if (rank_ == 0) ranks_.receive(token, size_ - 1);
    if (rank_ == 0) expect(token.item<double>() == size_ + 1, "a token that goes round");
    const at::Tensor none = at::empty({0, 5});
    ranks_.send(none, (rank_ + 1) % size_);
    ranks_.receive(none, (rank_ + size_ - 1) % size_);
  }

  static std::string bytes_of(int rank) {
    return rank == 0 ? std::string() : std::string(static_cast<std::size_t>(rank) * 1000, char('a' + rank)) + '\0';
  }

  void bytes() {
    const auto all = ranks_.gather_bytes(bytes_of(rank_));
    expect(static_cast<int>(all.size()) == size_, "bytes of every rank");
    for (int rank = 0; rank < size_; ++rank) {
      expect(all[static_cast<std::size_t>(rank)] == bytes_of(rank), "bytes of different lengths");
      expect(ranks_.broadcast_bytes(rank_ == rank ? bytes_of(rank) : "other", rank) == bytes_of(rank),
             "bytes of one rank");
    }
    expect(ranks_.gather_bytes("") == std::vector<std::string>(static_cast<std::size_t>(size_)), "no bytes at all");
  }

  template <class Call>
  std::int64_t sent_by(const Call& call) {
    const std::int64_t before = ranks_.traffic().bytes;
    call();
    return ranks_.traffic().bytes - before;
  }

  void traffic() {
    const std::int64_t length = 60 * size_;
    const std::int64_t bytes = length * 4;
    const at::Tensor tensor = at::ones({length});
    const at::Tensor part = at::ones({60});
    const std::int64_t others = size_ - 1;
    expect(sent_by([&] { ranks_.all_reduce(tensor); }) == 2 * others * bytes / size_, "bytes of an all-reduce");
    expect(sent_by([&] { ranks_.start_all_reduce(tensor)->wait(); }) == 2 * others * bytes / size_,
           "bytes of an all-reduce under way");
    expect(sent_by([&] { ranks_.reduce_scatter(tensor, part); }) == others * bytes / size_,
           "bytes of a reduce-scatter");
    expect(sent_by([&] { ranks_.all_gather(part, tensor); }) == others * 60 * 4, "bytes of an all-gather");
    // Sums over ranks.
    const at::Tensor odd = at::ones({size_ + 1}, at::kDouble);
    const at::Tensor sent = at::full({1}, sent_by([&] { ranks_.all_reduce(odd); }), at::kLong);
    ranks_.all_reduce(sent);
    expect(sent.item<std::int64_t>() == 2 * others * (size_ + 1) * 8, "bytes of an all-reduce of odd length");
    sent.fill_(sent_by([&] { ranks_.broadcast(tensor, size_ - 1); }));
    ranks_.all_reduce(sent);
    expect(sent.item<std::int64_t>() == others * bytes, "bytes of a broadcast");
    if (size_ > 1) {
      const auto call = [&] {
        const auto receive = ranks_.start_receive(part, (rank_ + size_ - 1) % size_);
        ranks_.send(at::zeros({60}), (rank_ + 1) % size_);
        receive->wait();
      };
      expect(sent_by(call) == 240, "bytes of a message");
    }
  }

  /// Neighbours in pairs, then even and odd ranks apart, in reverse colors, then a part of a part.
  void splits() {
    const auto pair = ranks_.split(rank_ / 2);
    const int in_pair = std::min(2, size_ - rank_ / 2 * 2);
    expect(pair->size() == in_pair && pair->rank() == rank_ % 2, "ranks in pairs");
    const at::Tensor sum = at::full({3}, rank_, at::kLong);
    pair->all_reduce(sum);
    expect(sum[0].item<std::int64_t>() == (in_pair == 2 ? rank_ / 2 * 4 + 1 : rank_), "sum in a pair");
    const auto parity = ranks_.split(1 - rank_ % 2);
    const auto under_way = parity->start_all_reduce(sum.fill_(1));
    const at::Tensor whole = at::ones({5});
    ranks_.all_reduce(whole);
    under_way->wait();
    expect(sum[0].item<std::int64_t>() == (size_ + 1 - rank_ % 2) / 2, "sum of even and of odd ranks");
    expect(whole[0].item<float>() == static_cast<float>(size_), "sum of all beside that of some");
    const auto alone = parity->split(parity->rank());
    expect(alone->size() == 1 && alone->gather_bytes("x") == std::vector<std::string>{"x"}, "a part of a part");
    const auto all = ranks_.split(0);
    all->barrier();
    expect(all->size() == size_ && all->rank() == rank_, "a part that is all");
    const std::int64_t before = ranks_.traffic().bytes;
    all->all_reduce(whole);
    expect(ranks_.traffic().bytes == before, "parts count their traffic apart");
  }

  void agreement() {
    require_same(ranks_, "options", "same text");
    if (size_ < 3) return;
    try {
      require_same(ranks_, "data", rank_ == 1 ? "cifar10" : "squad");
      expect(false, "texts that differ are an error");
    } catch (const Error& error) {
      const std::string text = error.what();
      expect(error.code() == Errc::InvalidArgument && text.find("ranks differ in data: rank 1 has \"cifar10\", ") == 0,
             "texts that differ are an error that names the rank: " + text);
    }
  }

  Communicator& ranks_;
  int size_;
  int rank_;
  std::vector<std::string> broken_;
};

}  // namespace

std::vector<std::string> broken_laws(Communicator& ranks) { return Laws(ranks).run(); }
