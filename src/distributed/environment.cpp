#include "halftone/distributed/environment.hpp"

#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include "halftone/core/error.hpp"

namespace halftone {
namespace {

using Variable = std::function<const char*(const char*)>;

/// A whole number from `least` to `most`; nothing where it is not set.
std::optional<int> number(const Variable& variable, const char* name, int least, int most) {
  const char* const value = variable(name);
  if (value == nullptr) return std::nullopt;
  const std::string_view text(value);
  int result = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result);
  if (error != std::errc{} || end != text.data() + text.size() || result < least || result > most)
    throw Error(Errc::InvalidArgument, message("the environment variable ", name, " is \"", text,
                                               "\": a whole number from ", least, " to ", most, " is needed"));
  return result;
}

constexpr int kMostRanks = 1 << 20;

struct Names {
  const char* rank;
  const char* size;
  const char* ranks_here;
};
constexpr Names kUsual{"RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"};
constexpr Names kOpenMpi{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"};

/// Nothing where neither is set.
std::optional<RankEnvironment> read(const Variable& variable, const Names& names) {
  const auto size = number(variable, names.size, 1, kMostRanks);
  const auto rank = number(variable, names.rank, 0, kMostRanks - 1);
  if (!size && !rank) return std::nullopt;
  if (!size || !rank)
    throw Error(Errc::InvalidArgument,
                message("the environment variable ", size ? names.size : names.rank, " is set and ",
                        size ? names.rank : names.size, " is not: set both, or neither to work alone"));
  if (*rank >= *size)
    throw Error(Errc::InvalidArgument, message("the environment variable ", names.rank, " is ", *rank, " and ",
                                               names.size, ' ', *size, ": ranks count from 0 to ", *size - 1));
  RankEnvironment environment{.rank = *rank, .size = *size};
  environment.ranks_here = number(variable, names.ranks_here, 1, *size).value_or(1);
  return environment;
}

}  // namespace

RankEnvironment rank_environment(const Variable& variable) {
  auto environment = read(variable, kUsual);
  const bool by_mpi = !environment;
  if (by_mpi) environment = read(variable, kOpenMpi);
  if (!environment || environment->size == 1) return environment.value_or(RankEnvironment{});
  const char* const address = variable("MASTER_ADDR");
  const auto port = number(variable, "MASTER_PORT", 1, std::numeric_limits<std::uint16_t>::max());
  const bool has_address = address != nullptr && *address != '\0';
  if (by_mpi && !has_address && !port) {
    environment->by_mpi = true;
    return *environment;
  }
  if (!has_address || !port)
    throw Error(Errc::InvalidArgument, message("there are ", environment->size, " ranks, and the environment variable ",
                                               has_address ? "MASTER_PORT" : "MASTER_ADDR",
                                               " is not set: set MASTER_ADDR to the address of "
                                               "rank 0 and MASTER_PORT to a free port there"));
  environment->address = address;
  environment->port = *port;
  environment->listener = number(variable, "HALFTONE_LISTENER", -1, std::numeric_limits<int>::max()).value_or(-1);
  return *environment;
}

}  // namespace halftone
