#include "commands.hpp"
#include "edgesmith/clock.hpp"
#include "output.hpp"

namespace edgesmith::harness {

using nlohmann::json;

int info_command(const Options& options) {
  json document = {{"schema_version", "1.0"},
                   {"kind", "edgesmith-info"},
                   {"context", machine_context(options, utc_timestamp())},
                   {"exit_code", 0}};
  const json& device = document["context"]["device"];
  const auto line = [](const char* name, const json& value) {
    return std::string(name) + ": " +
           (value.is_string() ? value.get<std::string>()
                              : value.dump(-1, ' ', true, json::error_handler_t::replace)) +
           "\n";
  };
  std::string text;
  for (const char* key : {"model", "cpu", "architecture", "isa_features", "cores", "memory_bytes",
                          "kernel", "libc", "governor", "virtualization", "id"}) {
    text += line(key, device[key]);
  }
  text += line("onnxruntime", document["context"]["runtime"]["version"]);
  text += line("providers", document["context"]["runtime"]["providers"]);
  return deliver(options, std::move(document), text);
}

}  // namespace edgesmith::harness
