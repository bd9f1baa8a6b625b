/// \file
/// Where results go: JSON to a file or stdout, or a text for people.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "options.hpp"

namespace edgesmith::harness {

/// Writes the document, which has an `exit_code`, to the file of --json, or to stdout if that is
/// "-" or the file cannot be written; without --json the text goes to stdout.
/// \return `exit_code` of the document, or 10 if that was 0 and something could not be written.
int deliver(const Options& options, nlohmann::json document, const std::string& text);

/// One line to stderr.
void say(const std::string& line);

/// The document's parts that describe this program and machine: device, runtime, harness, clock,
/// started_at.
nlohmann::json machine_context(const Options& options, const std::string& started_at);

/// A readable table of a report.
std::string report_table(const nlohmann::json& report);

}  // namespace edgesmith::harness
