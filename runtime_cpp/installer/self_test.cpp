#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "commands.hpp"

namespace edgesmith::installer {
namespace {

constexpr auto kPollInterval = std::chrono::milliseconds(20);

Error failed(const std::string& what) {
  return {ErrorCode::kHarness, "the self-test " + what + "; the release was not activated"};
}

Status judge(int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return Done{};
  if (WIFSIGNALED(status)) {
    return failed(std::string("was ended by ") + ::strsignal(WTERMSIG(status)));
  }
  const int code = WEXITSTATUS(status);
  if (code == 127) return failed("could not be started: bin/harness does not run on this device");
  return failed("failed with exit code " + std::to_string(code));
}

}  // namespace

Status self_test(const std::string& release, int timeout_seconds,
                 const std::vector<std::string>& emulator) {
  std::vector<std::string> words = emulator;
  words.insert(words.end(), {release + "/bin/harness", "verify"});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t child = ::fork();
  if (child < 0) return system_error("cannot start the self-test");
  if (child == 0) {
    // A group of its own, so that all it starts ends with it. Its words are talk, not our result.
    ::setpgid(0, 0);
    ::dup2(STDERR_FILENO, STDOUT_FILENO);
    ::execv(arguments.front(), arguments.data());
    ::_exit(127);
  }
  ::setpgid(child, child);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(timeout_seconds);
  for (;;) {
    int status = 0;
    const pid_t ended = ::waitpid(child, &status, WNOHANG);
    if (ended == child) return judge(status);
    if (ended < 0 && errno != EINTR) return system_error("cannot wait for the self-test");
    if (std::chrono::steady_clock::now() >= deadline) {
      ::kill(-child, SIGKILL);
      ::waitpid(child, &status, 0);
      return failed("was not done after " + std::to_string(timeout_seconds) + " s");
    }
    std::this_thread::sleep_for(kPollInterval);
  }
}

}  // namespace edgesmith::installer
