#include "plausibility.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "shown.hpp"

namespace edgesmith::harness {
namespace {

using nlohmann::json;

// Above every CPU's clock.
constexpr double kUnknownGhz = 6.0;
// Drivers may name a base frequency without its boost, and boards are overclocked.
constexpr double kBoost = 1.5;
// Fast algorithms need fewer multiplications: Winograd's for 3x3 kernels as little as a quarter.
constexpr double kFastAlgorithms = 4.0;

// Waiting for a GPU that has nothing to do takes some microseconds.
constexpr double kWaitShare = 0.05;
constexpr double kWaitAlwaysUs = 20;

/// What a core with this feature computes in a cycle at most.
struct FeaturePeak {
  std::string_view feature;
  double float_per_cycle;
  double int8_per_cycle;
};

// Two vector units on x86 (FMA: 8 or 16 floats; VNNI: 32 or 64 bytes), four of 128 bits on ARM,
// tiles of 16 rows on AMX and SME. The first line that fits counts.
constexpr std::array<FeaturePeak, 14> kPeaks{{{"sme", 512, 2048},
                                              {"amx_int8", 64, 1024},
                                              {"avx512_vnni", 64, 128},
                                              {"avx512f", 64, 128},
                                              {"avx_vnni", 32, 96},
                                              {"avx2", 32, 64},
                                              {"avx", 16, 32},
                                              {"sse4_1", 16, 32},
                                              {"sve", 64, 256},
                                              {"i8mm", 64, 128},
                                              {"bf16", 64, 64},
                                              {"asimddp", 16, 64},
                                              {"asimd", 16, 32},
                                              {"neon", 8, 16}}};
// For a CPU that shows none of these features.
constexpr FeaturePeak kUnknownPeak{"", 64, 1024};

FeaturePeak core_peak(const json& features) {
  for (const FeaturePeak& peak : kPeaks) {
    if (std::find(features.begin(), features.end(), peak.feature) != features.end()) return peak;
  }
  return kUnknownPeak;
}

double highest_ghz(const json& device) {
  std::uint64_t highest_khz = 0;
  if (device.contains("cpu_kinds") && device["cpu_kinds"].is_array()) {
    for (const json& kind : device["cpu_kinds"]) {
      highest_khz = std::max(highest_khz, kind.value("max_frequency_khz", std::uint64_t{0}));
    }
  }
  return highest_khz == 0 ? kUnknownGhz : kBoost * static_cast<double>(highest_khz) * 1e-6;
}

double typical_latency_ns(const json& latency) {
  const json& median = latency["percentiles"]["50"]["value"];
  return median.is_number() ? median.get<double>() : latency["mean"].get<double>();
}

}  // namespace

double peak_multiply_adds_per_ns(const json& device, const std::string& precision, unsigned cores) {
  const FeaturePeak peak = core_peak(device["isa_features"]);
  // Half floats are twice as many in a vector; an AMX unit takes as many of them as of bytes.
  double per_cycle = 2 * peak.float_per_cycle;
  if (precision == "fp32") per_cycle = peak.float_per_cycle;
  if (precision == "int8" || peak.feature == "amx_int8") {
    per_cycle = std::max(per_cycle, peak.int8_per_cycle);
  }
  return per_cycle * highest_ghz(device) * cores;
}

std::optional<double> least_latency_ns(const json& run, const Variant& variant,
                                       const json& device) {
  const json& effective = run["effective"];
  const auto provider = effective["provider"].get<std::string>();
  const bool own_threads = provider == "openvino";
  if (!variant.multiply_adds_per_sample || (provider != "cpu" && !own_threads)) {
    return std::nullopt;
  }
  const auto all = std::max(1U, device["cores"].get<unsigned>());
  const auto threads = effective["threads"].get<unsigned>();
  const unsigned cores = threads == 0 || own_threads ? all : std::min(threads, all);
  const double operations =
      static_cast<double>(*variant.multiply_adds_per_sample) * effective["batch"].get<double>();
  return operations / kFastAlgorithms / peak_multiply_adds_per_ns(device, variant.precision, cores);
}

Status check_plausible(const json& run, const Variant& variant, const json& device) {
  if (!run["latency"].is_object()) return Done{};
  const std::optional<double> least = least_latency_ns(run, variant, device);
  const double found = typical_latency_ns(run["latency"]);
  if (!least || found >= *least) return Done{};
  return Error{ErrorCode::kHarness,
               "the latency is impossible: " + formatted("%.3g", found * 1e-3) +
                   " us, where this CPU needs at least " + formatted("%.3g", *least * 1e-3) +
                   " us for the operations that the manifest counts; the model was not computed, "
                   "or is not the manifest's: build the bundle anew"};
}

Condition synchronized(const json& run) {
  const char* name = "synchronized";
  const json& copies = run["copies"];
  if (!copies.is_object()) {
    return {name, std::nullopt,
            "whether the GPU had finished when an inference returned: " +
                run["reasons"]["copies"].get<std::string>()};
  }
  const double wait_us = copies["synchronize_ns"].get<double>() * 1e-3;
  const double both_us = copies["on_device_ns"].get<double>() * 1e-3 + wait_us;
  const Finding finding{wait_us, std::max(kWaitAlwaysUs, kWaitShare * both_us), "us"};
  if (finding.value <= finding.limit) return {name, true, "", finding};
  return {name, false,
          "inferences return while the GPU still computes: leave out provider options that give it "
          "a stream of its own",
          finding};
}

Status check_synchronized(const json& run) {
  if (!run.contains("copies")) return Done{};
  const Condition condition = synchronized(run);
  if (condition.passed != false || !condition.finding) return Done{};
  return Error{ErrorCode::kHarness,
               "times were taken before the GPU had finished: it computed for another " +
                   formatted("%.3g", condition.finding->value) +
                   " us after an inference had returned, where " +
                   formatted("%.3g", condition.finding->limit) + " us are allowed; " +
                   condition.advice};
}

}  // namespace edgesmith::harness
