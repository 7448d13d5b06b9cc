#include "cli/rank_processes.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "halftone/core/error.hpp"

namespace halftone::cli {
namespace {

[[noreturn]] void refuse(const char* what) {
  throw Error(Errc::Io, message("ranks cannot be started: ", what, ": ", std::strerror(errno)));
}

/// Listens at a port of this host for rank 0 before any rank is there: none finds the door closed, and nobody else
/// gets the port.
class Listener {
 public:
  Listener() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (socket_ < 0) refuse("no socket");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    socklen_t length = sizeof address;
    if (::bind(socket_, any, length) != 0 || ::listen(socket_, SOMAXCONN) != 0 ||
        ::getsockname(socket_, any, &length) != 0) {
      ::close(socket_);
      refuse("no free port");
    }
    port_ = ntohs(address.sin_port);
  }
  ~Listener() { ::close(socket_); }
  Listener(Listener&&) = delete;
  Listener& operator=(Listener&&) = delete;

  [[nodiscard]] int socket() const { return socket_; }
  [[nodiscard]] int port() const { return port_; }

 private:
  int socket_;
  int port_ = 0;
};

/// This process's environment, and what makes a process rank `rank`.
std::vector<std::string> environment_of(int rank, int size, const Listener& listener) {
  const std::array<std::string, 7> own{message("RANK=", rank),
                                       message("WORLD_SIZE=", size),
                                       message("LOCAL_RANK=", rank),
                                       message("LOCAL_WORLD_SIZE=", size),
                                       "MASTER_ADDR=127.0.0.1",
                                       message("MASTER_PORT=", listener.port()),
                                       message("HALFTONE_LISTENER=", rank == 0 ? listener.socket() : -1)};
  std::vector<std::string> all(own.begin(), own.end());
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    const std::string name = text.substr(0, text.find('=') + 1);
    if (std::none_of(own.begin(), own.end(), [&](const std::string& of) { return of.starts_with(name); }))
      all.push_back(text);
  }
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> result;
  for (std::string& word : words) result.push_back(word.data());
  result.push_back(nullptr);
  return result;
}

/// What the new process does between fork and exec, where little is allowed.
[[noreturn]] void become_rank(const char* program, char* const* words, char* const* environment, int errors,
                              int listener, pid_t launcher) {
  ::setpgid(0, 0);  // Ctrl-C reaches the launcher, which passes it on once
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != launcher) ::_exit(127);
  if (errors >= 0) {
    const int null = ::open("/dev/null", O_RDWR);
    ::dup2(null, STDIN_FILENO);
    ::dup2(null, STDOUT_FILENO);
    ::dup2(errors, STDERR_FILENO);
  } else {
    ::fcntl(listener, F_SETFD, 0);  // rank 0 takes it over
  }
  ::execve(program, words, environment);
  ::_exit(127);
}

}  // namespace

bool RankEnd::is_good() const { return WIFEXITED(status) && WEXITSTATUS(status) <= 1; }

std::string RankEnd::text(int size) const {
  const std::string who = message("rank ", rank, " of ", size);
  if (WIFSIGNALED(status))
    return message(who, " was killed by signal ", WTERMSIG(status), " (", ::strsignal(WTERMSIG(status)), ')');
  return message(who, " ended with exit code ", WEXITSTATUS(status));
}

RankProcesses::RankProcesses(const std::vector<std::string>& words, int size) {
  const std::string program = "/proc/self/exe";
  std::vector<std::string> arguments{"halftone"};
  arguments.insert(arguments.end(), words.begin(), words.end());
  const std::vector<char*> argument_pointers = pointers(arguments);
  const Listener listener;
  const pid_t launcher = ::getpid();
  for (int rank = 0; rank < size; ++rank) {
    auto environment = environment_of(rank, size, listener);
    const std::vector<char*> environment_pointers = pointers(environment);
    Process process;
    if (rank > 0 && (process.errors = ::memfd_create("errors", MFD_CLOEXEC)) < 0) refuse("no file for errors");
    process.id = ::fork();
    if (process.id < 0) refuse("no process");
    if (process.id == 0)
      become_rank(program.c_str(), argument_pointers.data(), environment_pointers.data(), process.errors,
                  listener.socket(), launcher);
    processes_.push_back(process);
  }
}

RankProcesses::~RankProcesses() {
  signal(SIGKILL);
  for (const Process& process : processes_) {
    if (!process.status) ::waitpid(process.id, nullptr, 0);
    if (process.errors >= 0) ::close(process.errors);
  }
}

std::vector<RankEnd> RankProcesses::ended() {
  std::vector<RankEnd> ends;
  for (std::size_t rank = 0; rank < processes_.size(); ++rank) {
    Process& process = processes_[rank];
    int status = 0;
    if (process.status || ::waitpid(process.id, &status, WNOHANG) != process.id) continue;
    process.status = status;
    ends.push_back({static_cast<int>(rank), status});
  }
  return ends;
}

bool RankProcesses::any_runs() const {
  return std::any_of(processes_.begin(), processes_.end(), [](const Process& process) { return !process.status; });
}

void RankProcesses::signal(int number) const {
  for (const Process& process : processes_)
    if (!process.status) ::kill(process.id, number);
}

int RankProcesses::code_of_first() const { return WEXITSTATUS(processes_.front().status.value()); }

std::string RankProcesses::errors_of(int rank) const {
  const int file = processes_.at(static_cast<std::size_t>(rank)).errors;
  std::string text;
  std::array<char, 4096> buffer{};
  for (ssize_t count = 0; (count = ::pread(file, buffer.data(), buffer.size(), static_cast<off_t>(text.size()))) > 0;)
    text.append(buffer.data(), static_cast<std::size_t>(count));
  return text;
}

}  // namespace halftone::cli
