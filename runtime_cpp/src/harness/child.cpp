#include "child.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "measure.hpp"
#include "observer.hpp"
#include "placement.hpp"
#include "report_json.hpp"

namespace edgesmith::harness {
namespace {

using nlohmann::json;

sigset_t held_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&set, number);
  return set;
}

/// The pipe for results and the memory for latencies.
struct Plumbing {
  Descriptor read_end;
  Descriptor write_end;
  Descriptor latencies;
};

Result<Plumbing> make_plumbing() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return system_error("cannot make a pipe");
  Plumbing plumbing{Descriptor(ends[0]), Descriptor(ends[1]),
                    Descriptor(::memfd_create("latencies", MFD_CLOEXEC))};
  if (!plumbing.latencies) return system_error("cannot make memory for latencies");
  return plumbing;
}

/// In the new process: becomes a measuring process. Only calls that are safe after fork, unless the
/// measurement happens right here.
[[noreturn]] void become_child(const RunSpec& spec, const Plumbing& plumbing, bool emulated,
                               const std::vector<char*>& arguments, pid_t parent) {
  // Dies with its parent, also if that is killed outright.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  const sigset_t held = held_signals();
  ::sigprocmask(SIG_UNBLOCK, &held, nullptr);
  static_cast<void>(::signal(SIGPIPE, SIG_DFL));
  if (emulated) {
    ::_exit(measure(spec, {plumbing.write_end.get(), plumbing.latencies.get()}));
  }
  ::fcntl(plumbing.write_end.get(), F_SETFD, 0);
  ::fcntl(plumbing.latencies.get(), F_SETFD, 0);
  ::execv("/proc/self/exe", arguments.data());
  ::_exit(127);
}

pid_t start(const RunSpec& spec, const Plumbing& plumbing, bool emulated) {
  std::vector<std::string> texts{"harness", "measure"};
  for (std::string& text : to_arguments(spec)) texts.push_back(std::move(text));
  texts.push_back(std::to_string(plumbing.write_end.get()));
  texts.push_back(std::to_string(plumbing.latencies.get()));
  std::vector<char*> arguments;
  arguments.reserve(texts.size() + 1);
  for (std::string& text : texts) arguments.push_back(text.data());
  arguments.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) become_child(spec, plumbing, emulated, arguments, parent);
  return child;
}

/// Collects the pipe's content until its end, observing the machine between "steady" and "done".
/// \return whether a signal came in.
bool collect(int pipe, int signals, pid_t child, std::string& text, Observer& observer) {
  std::array<pollfd, 2> polled{{{pipe, POLLIN, 0}, {signals, POLLIN, 0}}};
  bool interrupted = false;
  for (;;) {
    const int ready = ::poll(polled.data(), polled.size(), Observer::kIntervalMs);
    if (ready < 0 && errno != EINTR) return interrupted;
    if (ready > 0 && polled[1].revents != 0) {
      interrupted = true;
      ::kill(child, SIGKILL);
      polled[1].fd = -1;
    }
    if (ready > 0 && polled[0].revents != 0) {
      std::array<char, 65536> buffer{};
      const ssize_t got = ::read(pipe, buffer.data(), buffer.size());
      if (got == 0 || (got < 0 && errno != EINTR)) return interrupted;
      if (got > 0) text.append(buffer.data(), static_cast<std::size_t>(got));
      observer.set_active(text.compare(0, 7, "steady\n") == 0 &&
                          text.find("\ndone\n") == std::string::npos);
    }
    observer.observe_if_due();
  }
}

std::vector<std::int64_t> read_latencies(int fd) {
  const off_t bytes = ::lseek(fd, 0, SEEK_END);
  std::vector<std::int64_t> latencies(bytes > 0 ? static_cast<std::size_t>(bytes) / 8 : 0);
  std::size_t done = 0;
  while (done < latencies.size() * 8) {
    const ssize_t got = ::pread(fd, reinterpret_cast<char*>(latencies.data()) + done,
                                latencies.size() * 8 - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    done += static_cast<std::size_t>(got);
  }
  latencies.resize(done / 8);
  return latencies;
}

json ended_by(int status) {
  json error = {{"stage", "child"},
                {"code", static_cast<int>(ErrorCode::kHarness)},
                {"exit_status", nullptr},
                {"signal", nullptr}};
  if (WIFSIGNALED(status)) {
    const int number = WTERMSIG(status);
    error["signal"] = number;
    error["message"] = "the measuring process was ended by signal " + std::to_string(number) +
                       " (" + ::strsignal(number) + ")" +
                       (number == SIGKILL ? "; the kernel may have run out of memory" : "");
  } else {
    error["exit_status"] = WEXITSTATUS(status);
    error["message"] = "the measuring process ended with exit status " +
                       std::to_string(WEXITSTATUS(status)) + " and without a result";
  }
  return error;
}

/// Removes all whose path begins with `prefix`.
void remove_all_of(const std::filesystem::path& prefix) {
  std::error_code error;
  std::vector<std::filesystem::path> found;
  const std::string name = prefix.filename().string();
  std::filesystem::directory_iterator entry(parent_folder(prefix.string()), error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (entry->path().filename().string().compare(0, name.size(), name) == 0) {
      found.push_back(entry->path());
    }
  }
  // What cannot be removed stays: it is no part of the result.
  for (const auto& path : found) std::filesystem::remove_all(path, error);
}

/// A process that is killed leaves its temporary files.
void remove_leftovers(const RunSpec& spec, pid_t child) {
  remove_all_of(profile_folder_prefix(child));
  if (!spec.outputs_path.empty()) remove_all_of(temporary_prefix(spec.outputs_path));
}

/// The document behind the phase lines; null if there is none.
json parse_document(const std::string& text) {
  const std::size_t start = text.find('{');
  if (start == std::string::npos) return nullptr;
  json document = json::parse(text.substr(start), nullptr, false);
  return document.is_object() ? document : json(nullptr);
}

}  // namespace

Result<ChildRunner> ChildRunner::create(bool emulated) {
  const sigset_t held = held_signals();
  ::sigprocmask(SIG_BLOCK, &held, nullptr);
  Descriptor signals(::signalfd(-1, &held, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals) return system_error("cannot watch for signals");
  return ChildRunner(std::move(signals), emulated);
}

ChildOutcome ChildRunner::run(const RunSpec& spec) const {
  ChildOutcome outcome;
  Result<Plumbing> plumbing = make_plumbing();
  if (!plumbing) {
    outcome.error = error_json("child", plumbing.error());
    return outcome;
  }
  const pid_t child = start(spec, *plumbing, emulated_);
  if (child < 0) {
    outcome.error = error_json("child", system_error("cannot start a measuring process"));
    return outcome;
  }
  plumbing->write_end.reset();
  Observer observer(environment_, spec.provider);
  std::string text;
  outcome.interrupted = collect(plumbing->read_end.get(), signals_.get(), child, text, observer);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  outcome.document = parse_document(text);
  if (WIFSIGNALED(status)) remove_leftovers(spec, child);
  const bool ended_well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (outcome.interrupted) {
    outcome.error = error_json("interrupted", {ErrorCode::kInterrupted, "a signal ended the run"});
  } else if (outcome.document.contains("error")) {
    outcome.error = outcome.document["error"];
  } else if (!ended_well || outcome.document.is_null()) {
    outcome.error = ended_by(status);
  } else {
    outcome.latencies = read_latencies(plumbing->latencies.get());
    if (spec.scenario.kind == ScenarioKind::kFixedRate) {
      // Latencies, then as many service times.
      const auto half = static_cast<std::ptrdiff_t>(outcome.latencies.size() / 2);
      outcome.services.assign(outcome.latencies.begin() + half, outcome.latencies.end());
      outcome.latencies.resize(static_cast<std::size_t>(half));
    }
    outcome.during = observer.result(outcome.document["process"]["environment"]);
  }
  return outcome;
}

}  // namespace edgesmith::harness
