#include "distributed/local_address.hpp"

#include <array>
#include <memory>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include "halftone/core/error.hpp"

namespace halftone::internal {
namespace {

/// Of a datagram socket that has `target` for its peer; empty where there is no way there.
std::string source_address(const addrinfo& target) {
  const int socket = ::socket(target.ai_family, target.ai_socktype, target.ai_protocol);
  if (socket < 0) return {};
  sockaddr_storage own{};
  auto* const any = reinterpret_cast<sockaddr*>(&own);
  socklen_t length = sizeof own;
  std::array<char, NI_MAXHOST> text{};
  const bool known =
      ::connect(socket, target.ai_addr, target.ai_addrlen) == 0 && ::getsockname(socket, any, &length) == 0 &&
      ::getnameinfo(any, length, text.data(), static_cast<socklen_t>(text.size()), nullptr, 0, NI_NUMERICHOST) == 0;
  ::close(socket);
  return known ? text.data() : std::string();
}

}  // namespace

std::string local_address_towards(const std::string& address, int port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  const int problem = ::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found);
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(found, ::freeaddrinfo);
  if (problem != 0)
    throw Error(Errc::InvalidArgument,
                message("the address of rank 0 is \"", address, "\": ", ::gai_strerror(problem)));
  for (const addrinfo* target = found; target != nullptr; target = target->ai_next)
    if (std::string source = source_address(*target); !source.empty()) return source;
  throw Error(Errc::InvalidArgument, message("the address of a rank, ", address, ", cannot be reached from this host"));
}

}  // namespace halftone::internal
