#include "output.hpp"

#include <unistd.h>

#include "digest.hpp"
#include "edgesmith/clock.hpp"
#include "edgesmith/environment.hpp"
#include "edgesmith/session.hpp"
#include "environment_json.hpp"
#include "file.hpp"
#include "provider_choice.hpp"
#include "report_json.hpp"
#include "shown.hpp"

namespace edgesmith::harness {
namespace {

using nlohmann::json;

/// Half of a SHA-256 is still unique and keeps reports readable.
constexpr std::size_t kIdDigits = 32;

Status to_stdout(const std::string& text) {
  Status status = write_all(STDOUT_FILENO, text.data(), text.size());
  if (!status) say("harness: the result is lost: stdout: " + status.error().message);
  return status;
}

/// Foreign names may hold control characters, which would drive the terminal.
std::string printable(std::string text) {
  for (char& character : text) {
    const auto code = static_cast<unsigned char>(character);
    if (code < 0x20 || code == 0x7f) character = '?';
  }
  return text;
}

std::string cell(const json& value, double scale, const char* format) {
  if (!value.is_number()) return "-";
  return formatted(format, value.get<double>() * scale);
}

std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text + "  ";
}

std::string accuracy_cell(const json& run) {
  if (!run["accuracy"].is_array()) return "-";
  for (const json& entry : run["accuracy"]) {
    if (entry["value"].is_number()) {
      return entry["metric"].get<std::string>() + " " + cell(entry["value"], 1, "%.4f");
    }
  }
  return "-";
}

/// Fallbacks, and nodes that another provider took: whoever reads only the table must not take one
/// provider's figures for another's.
std::string provider_lines(const json& effective) {
  std::string text;
  for (const json& one : effective.value("fallbacks", json::array())) {
    const ProviderFallback fallback{one["provider"].get<std::string>(),
                                    one["reason"].get<std::string>()};
    text +=
        "  " + printable(fallback_words(fallback, effective["provider"].get<std::string>())) + "\n";
  }
  const json elsewhere = effective.value("elsewhere", json::object());
  for (const auto& [provider, types] : elsewhere.items()) {
    std::string nodes;
    for (const auto& [type, count] : types.items()) {
      nodes +=
          (nodes.empty() ? "" : ", ") + std::to_string(count.get<std::uint64_t>()) + " " + type;
    }
    text += "  " + printable("of its nodes " + provider + " runs " + nodes) + "\n";
  }
  return text;
}

}  // namespace

void say(const std::string& line) {
  const std::string text = printable(line) + "\n";
  // Talk is not a result: a closed stderr must not end a measurement.
  static_cast<void>(static_cast<bool>(write_all(STDERR_FILENO, text.data(), text.size())));
}

int deliver(const Options& options, json document, const std::string& text) {
  const int code = document["exit_code"].get<int>();
  // The first failure stays what the program tells.
  const auto failed = [code](const Error& error) { return code == 0 ? exit_code(error) : code; };
  if (options.json_path.empty()) {
    const Status status = to_stdout(text);
    return status ? code : failed(status.error());
  }
  if (options.json_path != "-") {
    const Status status = write_file_atomically(options.json_path, {json_text(document)});
    if (status) return code;
    say("harness: " + status.error().message + "; the result goes to stdout");
    document["exit_code"] = failed(status.error());
    if (document["error"].is_null()) document["error"] = error_json("output", status.error());
  }
  const Status status = to_stdout(json_text(document));
  return status ? document["exit_code"].get<int>() : failed(status.error());
}

json machine_context(const Options& options, const std::string& started_at) {
  const DeviceInfo device = Environment().device();
  Reading<std::string> id = device.machine_id;
  if (id.value) id.value = sha256_hex(options.id_salt + "\n" + *id.value).substr(0, kIdDigits);
  const Clock clock = Clock::cheapest();
  json context = {{"device", device_json(device, id, options.emulated)},
                  {"harness", {{"version", EDGESMITH_RUNTIME_VERSION}}},
                  {"clock",
                   {{"name", clock.name()},
                    {"resolution_ns", clock.resolution_ns()},
                    {"granularity_ns", clock.granularity_ns()},
                    {"steps_back", clock.steps_back()},
                    {"cost_ns", clock.cost_ns()}}},
                  {"started_at", started_at}};
  const Result<RuntimeInfo> runtime = runtime_info();
  context["runtime"] = {{"name", "onnxruntime"},
                        {"version", runtime ? runtime->version : ""},
                        {"providers", runtime ? runtime->providers : std::vector<std::string>{}}};
  return context;
}

std::string report_table(const json& report) {
  if (report["runs"].empty()) return {};
  std::string text = padded("run", 44) + padded("p50 ms", 10) + padded("p99 ms", 10) +
                     padded("per s", 10) + padded("peak MiB", 8) + padded("accuracy", 14) +
                     "verdict\n";
  for (const json& run : report["runs"]) {
    const json& latency = run["latency"];
    const auto percentile = [&](const char* name) {
      return latency.is_object() ? cell(latency["percentiles"][name]["value"], 1e-6, "%.4f") : "-";
    };
    const json& processes = run["processes"];
    const bool has_memory = !processes.empty() && processes[0]["memory"].is_object();
    text +=
        padded(printable(run["key"].get<std::string>()), 44) + padded(percentile("50"), 10) +
        padded(percentile("99"), 10) + padded(cell(run["throughput_per_s"], 1, "%.1f"), 10) +
        padded(has_memory ? cell(processes[0]["memory"]["peak_rss_bytes"], 1.0 / 1048576, "%.1f")
                          : "-",
               8) +
        padded(accuracy_cell(run), 14) + run["verdict"].get<std::string>() + "\n";
    if (run["effective"].is_object()) text += provider_lines(run["effective"]);
    if (run["error"].is_object()) {
      text += "  " + printable(run["error"]["message"].get<std::string>()) + "\n";
    }
  }
  for (const json& comparison : report["comparisons"]) {
    text += printable(comparison["advice"].get<std::string>()) + "\n";
  }
  return text;
}

}  // namespace edgesmith::harness
