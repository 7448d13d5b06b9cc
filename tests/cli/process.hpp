#pragma once

#include <cstdlib>
#include <fcntl.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "cli/call.hpp"

/// The program in a process of its own, with `variables` ("RANK=1") beside those of this one; what it says goes to the
/// end of `errors`, or nowhere.
inline pid_t start(const Words& words, const std::string& errors = "/dev/null", const Words& variables = {}) {
  std::vector<std::string> arguments = Words{HALFTONE_PROGRAM} + words;
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  const pid_t child = ::fork();
  if (child != 0) return child;
  ::dup2(::open("/dev/null", O_WRONLY), STDOUT_FILENO);
  ::dup2(::open(errors.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666), STDERR_FILENO);
  for (const std::string& variable : variables) ::putenv(const_cast<char*>(variable.c_str()));
  ::execv(pointers[0], pointers.data());
  ::_exit(127);
}

/// Its exit code; -1 where a signal ended it.
inline int finish(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
