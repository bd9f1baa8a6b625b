#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "commands.hpp"

namespace edgesmith::installer {
namespace {

constexpr int kCannotRun = 127;  // What a shell says, too.
constexpr auto kPollInterval = std::chrono::milliseconds(5);

Error failed(const std::string& what) { return {ErrorCode::kHarness, "the self-test " + what}; }

Status judge(int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return Done{};
  if (WIFSIGNALED(status)) {
    return failed(std::string("was ended by ") + ::strsignal(WTERMSIG(status)));
  }
  const int code = WEXITSTATUS(status);
  if (code == kCannotRun) return failed("could not be started: the harness does not run here");
  return failed("failed with exit code " + std::to_string(code));
}

/// In the child: becomes the harness, or says why not. \param parent Must still live.
[[noreturn]] void become(const std::vector<char*>& arguments, pid_t parent) {
  // A group of its own, so that all it starts ends with it; and it ends with the installer.
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(kCannotRun);
  static_cast<void>(::signal(SIGPIPE, SIG_DFL));
  // Its words are talk, not our result.
  ::dup2(STDERR_FILENO, STDOUT_FILENO);
  ::execv(arguments.front(), arguments.data());
  const std::string words =
      "cannot run " + std::string(arguments.front()) + ": " + std::strerror(errno) + "\n";
  static_cast<void>(write_all(STDERR_FILENO, words.data(), words.size()));
  ::_exit(kCannotRun);
}

/// Waits for the child, ends what it started, and tells how it ended; nothing if it is not done.
std::optional<int> wait_for(pid_t child, int timeout_seconds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(timeout_seconds);
  siginfo_t info{};
  bool ended = false;
  while (!ended && std::chrono::steady_clock::now() < deadline) {
    info.si_pid = 0;
    // Not reaped yet: its number stays its own until all of its group is ended.
    const int result =
        ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT);
    ended = result == 0 && info.si_pid == child;
    if (!ended) std::this_thread::sleep_for(kPollInterval);
  }
  ::kill(-child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return ended ? std::optional<int>(status) : std::nullopt;
}

}  // namespace

Status self_test(const std::string& release, int timeout_seconds,
                 const std::vector<std::string>& emulator) {
  std::vector<std::string> words = emulator;
  words.insert(words.end(), {release + "/bin/harness", "verify"});
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return system_error("cannot start the self-test");
  if (child == 0) become(arguments, parent);
  ::setpgid(child, child);
  const std::optional<int> status = wait_for(child, timeout_seconds);
  if (status) return judge(*status);
  return failed("was not done after " + std::to_string(timeout_seconds) + " s and was ended");
}

}  // namespace edgesmith::installer
