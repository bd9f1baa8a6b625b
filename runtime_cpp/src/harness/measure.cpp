#include "measure.hpp"

#include <charconv>

#include "affinity.hpp"
#include "copies.hpp"
#include "edgesmith/clock.hpp"
#include "edgesmith/environment.hpp"
#include "environment_json.hpp"
#include "evaluate.hpp"
#include "file.hpp"
#include "fixed_rate.hpp"
#include "no_exceptions.hpp"
#include "offline.hpp"
#include "placement.hpp"
#include "provider_choice.hpp"
#include "report_json.hpp"
#include "series.hpp"
#include "session_settings.hpp"

namespace edgesmith::harness {
namespace {

using nlohmann::json;

json bools_json(const std::vector<bool>& values) {
  json list = json::array();
  for (const bool value : values) list.push_back(value ? 1 : 0);
  return list;
}

json evaluation_json(const Evaluation& evaluation) {
  json outputs = json::array();
  for (const OutputErrors& output : evaluation.outputs) {
    json errors = json::array();
    for (const SampleError& error : output.errors) {
      errors.push_back(
          {error.signal, error.noise, error.cosine, error.max_abs_error, error.finite ? 1 : 0});
    }
    outputs.push_back(
        {{"output", output.output}, {"errors", std::move(errors)}, {"reason", output.reason}});
  }
  return {{"outputs", std::move(outputs)},
          {"classes", evaluation.classes},
          {"agreement", bools_json(evaluation.agreement)},
          {"top1", bools_json(evaluation.top1)},
          {"top5", bools_json(evaluation.top5)},
          {"labels_reason", evaluation.labels_reason},
          {"groups", evaluation.groups}};
}

Clock clock_of(const RunSpec& spec) {
  const std::optional<Clock> named = Clock::named(spec.clock);
  return named ? *named : Clock::cheapest();
}

json effective_json(const RunSpec& spec, const SessionSettings& settings, const Session& session,
                    const ModelIo& io) {
  json result = {{"provider", session.provider()},
                 {"provider_options", json::object()},
                 {"fallbacks", fallbacks_json(session)},
                 {"threads", spec.threads},
                 {"cpus", nullptr},
                 {"spinning", nullptr},
                 {"arena", settings.arena},
                 {"placement", nullptr},
                 {"batch", io.batch()},
                 {"outputs", io.preallocated() ? "preallocated" : "allocated-per-run"},
                 {"reasons", {{"placement", "found in the first process only"}}}};
  for (const ProviderSettings& one : spec.providers) {
    if (one.name == session.provider()) result["provider_options"] = one.options;
  }
  if (spec.outside_library) {
    const std::string& path = spec.providers.front().library;
    result["unverified_library"] = path.substr(path.rfind('/') + 1);
  }
  const Result<std::vector<unsigned>> cpus = allowed_cpus();
  if (cpus) {
    result["cpus"] = *cpus;
  } else {
    result["reasons"]["cpus"] = cpus.error().message;
  }
  if (spec.threads == 1) {
    result["reasons"]["spinning"] = "one thread waits for no other";
  } else if (const std::optional<bool> spinning = spinning_of(settings)) {
    result["spinning"] = *spinning;
  } else {
    result["reasons"]["spinning"] = "left to the runtime";
  }
  return result;
}

/// How many inferences were timed and kept, and with which clock.
json timing_json(const json& scenario, const LatencyLog& log, const Clock& clock) {
  const bool logged = log.timed() > 0;
  const bool on_schedule = scenario.contains("frames");
  std::uint64_t timed = log.timed();
  if (!logged) timed = scenario.at(on_schedule ? "frames" : "inferences").get<std::uint64_t>();
  const std::uint64_t bound = on_schedule ? kMostFrames : kMostOfflineInferences;
  return {{"timed", timed},
          {"kept", logged ? log.kept() : timed},
          {"stride", log.stride()},
          {"bound", logged ? log.bound() : bound},
          {"clock",
           {{"name", clock.name()},
            {"resolution_ns", clock.resolution_ns()},
            {"granularity_ns", clock.granularity_ns()},
            {"cost_ns", clock.cost_ns()},
            {"steps_back", clock.steps_back()}}}};
}

/// The steps of one measurement; each fills its part of the document.
class Measurement {
 public:
  Measurement(const RunSpec& spec, const MeasureChannel& channel)
      : spec_(spec), channel_(channel), clock_(clock_of(spec)) {}

  Status run() {
    stage_ = "samples";
    Result<SampleSource> source = SampleSource::open(spec_.samples_path);
    if (!source) return source.error();
    stage_ = "load";
    // Before the session: its threads inherit it.
    if (!spec_.cpus.empty()) {
      if (Status status = confine_to(spec_.cpus); !status) return status;
    }
    Result<SessionSettings> settings = session_settings(
        {spec_.providers, spec_.require_provider, spec_.threads, spec_.optimization_level,
         spec_.config, spec_.spinning, spec_.arena, spec_.engine_cache});
    if (!settings) return settings.error();
    if (Status status = load_and_time(*settings, *source); !status) return status;
    return spec_.accuracy ? place(*settings, *source) : Done{};
  }

  json take_document() { return std::move(document_); }
  const std::string& stage() const { return stage_; }

 private:
  /// The session ends here: the one that profiles never shares the device's memory with it.
  Status load_and_time(const SessionSettings& settings, const SampleSource& source) {
    const std::int64_t start = clock_.now_ns();
    Result<Session> session = Session::open(spec_.model_path, settings);
    const std::int64_t load_ns = clock_.now_ns() - start;
    if (!session) return session.error();
    const MemoryUse loaded = environment_.memory();
    Result<ModelIo> io = ModelIo::create(*session, source, spec_.shapes);
    if (!io) return io.error();
    document_["process"]["load_ns"] = load_ns;
    const EngineCacheUse& engines = session->engine_cache();
    document_["process"]["engine_cache"] = {{"state", engines.state}, {"reason", engines.reason}};
    say_engines(engines);
    document_["effective"] = effective_json(spec_, settings, *session, *io);
    if (Status status = time(*session, *io, source, loaded); !status) return status;
    if (!spec_.accuracy) return Done{};
    if (Status status = copy(*session, *io, settings); !status) return status;
    return compare(*session, *io, source);
  }

  /// Only where there is a GPU: elsewhere the document says nothing of copies.
  Status copy(Session& session, ModelIo& io, const SessionSettings& settings) {
    const std::optional<CopySetup> setup = copy_setup(session, settings.providers);
    if (!setup) return Done{};
    stage_ = "copies";
    Result<FoundCopies> found = measure_copies(session, io, clock_, *setup);
    if (!found) return found.error();
    document_["copies"] = std::move(found->figures);
    document_["copies_reason"] = found->reason;
    return Done{};
  }

  Status time(Session& session, ModelIo& io, const SampleSource& source, const MemoryUse& loaded) {
    stage_ = "first_inference";
    if (Status status = io.load(0); !status) return status;
    const json before = snapshot_json(environment_.snapshot());
    const std::int64_t start = clock_.now_ns();
    Status first = session.run();
    const std::int64_t first_ns = clock_.now_ns() - start;
    if (!first) return first;
    stage_ = "measure";
    if (Status status = mark("steady\n"); !status) return status;
    Stream stream{session, io};
    if (Status status = run_scenario(stream, source, first_ns); !status) return status;
    const MemoryUse used = environment_.memory();
    if (Status status = mark("done\n"); !status) return status;
    json& process = document_["process"];
    process["first_inference_ns"] = first_ns;
    process["memory"] = memory_json(loaded, used);
    process["environment"] = {
        {"before", before}, {"during", nullptr}, {"after", snapshot_json(environment_.snapshot())}};
    return Done{};
  }

  /// The timed part: what it finds goes to the document, its latencies to the channel.
  Status run_scenario(Stream& stream, const SampleSource& source, std::int64_t first_ns) {
    const SeriesGoal goal{spec_.min_seconds, spec_.min_iterations, first_ns};
    LatencyLog log(channel_.latency_fd);
    json& process = document_["process"];
    Result<json> found = json{{"kind", "single-stream"}};
    Clock clock = clock_;
    switch (spec_.scenario.kind) {
      case ScenarioKind::kSingleStream:
        if (Status status = run_single_stream(stream, clock, goal, log); !status) return status;
        break;
      case ScenarioKind::kSoak:
        found = run_soak(stream, clock, spec_.scenario.seconds, first_ns, log);
        break;
      case ScenarioKind::kOffline:
        found = run_offline(stream, source, spec_.shapes, clock, {spec_.scenario.streams, goal},
                            channel_.latency_fd);
        break;
      case ScenarioKind::kFixedRate:
        clock = Clock::sleepable();
        found = run_fixed_rate(stream,
                               {spec_.scenario.rate_hz, spec_.min_seconds, spec_.min_iterations},
                               channel_.latency_fd);
        break;
    }
    if (!found) return found.error();
    process["scenario"] = std::move(*found);
    process["timing"] = timing_json(process["scenario"], log, clock);
    return Done{};
  }

  Status mark(std::string_view line) const {
    return write_all(channel_.result_fd, line.data(), line.size());
  }

  Status compare(Session& session, ModelIo& io, const SampleSource& source) {
    stage_ = "accuracy";
    Result<Evaluation> evaluation =
        evaluate(session, io, source, {}, {spec_.outputs_path, spec_.outputs_required});
    if (!evaluation) return evaluation.error();
    document_["evaluation"] = evaluation_json(*evaluation);
    document_["outputs_unwritten"] = evaluation->unwritten;
    return Done{};
  }

  Status place(const SessionSettings& settings, const SampleSource& source) {
    stage_ = "profile";
    Result<Profile> profile = profile_session(spec_, settings, source);
    if (profile) {
      document_["effective"]["placement"] = std::move(profile->placement);
      document_["effective"]["elsewhere"] = std::move(profile->elsewhere);
      if (has_gpu_memory(document_["effective"]["provider"].get<std::string>())) {
        document_["effective"]["copies_in_graph"] = std::move(profile->copies);
      }
      document_["effective"]["reasons"].erase("placement");
      document_["profile"] = std::move(profile->operators);
      return spec_.require_provider ? require_all_nodes(spec_.provider, *profile) : Done{};
    }
    // Without a folder for temporary files the measurement still stands; a profile that was asked
    // for is a failure.
    if (spec_.profile || spec_.require_provider) return profile.error();
    document_["effective"]["reasons"]["placement"] = profile.error().message;
    return Done{};
  }

  const RunSpec& spec_;
  MeasureChannel channel_;
  Clock clock_;
  Environment environment_;
  std::string stage_;
  json document_ = json::object();
};

}  // namespace

int measure(const RunSpec& spec, const MeasureChannel& channel) {
  Measurement measurement(spec, channel);
  const Status status = without_exceptions([&] { return measurement.run(); });
  json document = status ? measurement.take_document()
                         : json{{"error", error_json(measurement.stage(), status.error())}};
  const std::string text = json_text(document);
  if (!write_all(channel.result_fd, text.data(), text.size())) {
    return static_cast<int>(ErrorCode::kFileSystem);
  }
  return status ? 0 : exit_code(status.error());
}

namespace {

/// An inherited descriptor by its number; -1 if the text is none.
int descriptor_from(const std::string& text) {
  int number = -1;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stop == end ? number : -1;
}

}  // namespace

int measure_command(const std::vector<std::string>& arguments) {
  const Result<RunSpec> spec = run_spec_from_arguments(arguments);
  if (!spec || arguments.size() != 8) return static_cast<int>(ErrorCode::kUsage);
  return measure(*spec, {descriptor_from(arguments[6]), descriptor_from(arguments[7])});
}

}  // namespace edgesmith::harness
