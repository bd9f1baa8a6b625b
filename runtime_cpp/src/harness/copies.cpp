#include "copies.hpp"

#include <algorithm>
#include <utility>

#include "edgesmith/latency.hpp"
#include "numbers.hpp"
#include "output_difference.hpp"
#include "shown.hpp"

namespace edgesmith::harness {
namespace {

using nlohmann::json;
using Bytes = std::vector<unsigned char>;

// The first inferences with other bindings may still allocate.
constexpr int kWarmUpRounds = 3;
constexpr std::size_t kLeastRounds = 10;
constexpr std::size_t kMostRounds = 100;
constexpr std::int64_t kEnoughNs = 1'000'000'000;

// The same kernels get the same numbers: what differs is the order in which threads add them up, a
// rounding error each of FP16 at the worst. Wrong memory or a result that is not there yet differ
// by as much as the values themselves.
constexpr double kSameOutputs = 0.01;

/// One input or output with its two memories.
struct Transfer {
  TensorInfo info;
  std::vector<std::int64_t> dims;
  const void* host = nullptr;  ///< Of an input.
  std::size_t bytes = 0;
  void* device = nullptr;
  Bytes expected;  ///< Of an output: what the inference with host memory gave.
  Bytes found;
};

std::size_t total_bytes(const std::vector<Transfer>& transfers) {
  std::size_t sum = 0;
  for (const Transfer& transfer : transfers) sum += transfer.bytes;
  return sum;
}

struct Times {
  std::vector<double> to_device;
  std::vector<double> inference;
  std::vector<double> wait;
  std::vector<double> to_host;

  void reserve(std::size_t rounds) {
    for (auto* list : {&to_device, &inference, &wait, &to_host}) list->reserve(rounds);
  }
  void clear() {
    for (auto* list : {&to_device, &inference, &wait, &to_host}) list->clear();
  }
};

/// The steps of the pass, in their order.
class CopyPass {
 public:
  CopyPass(const Cudart& cuda, const Clock& clock, Session stream)
      : cuda_(cuda), clock_(clock), memory_(cuda), stream_(std::move(stream)) {}

  /// Inferences with host memory: what is copied, and which outputs are right. A second one shows
  /// how far a model that draws random numbers differs from itself.
  Status take_host_side(Session& session, ModelIo& io) {
    if (Status status = io.load(0); !status) return status;
    for (const BoundInput& input : io.inputs()) {
      inputs_.push_back({*input.info, input.dims, input.data, input.bytes, nullptr, {}, {}});
    }
    for (const int inference : {0, 1}) {
      if (Status status = session.run(); !status) return status;
      for (std::size_t i = 0; i < session.outputs().size(); ++i) {
        const TensorInfo& info = session.outputs()[i];
        Result<OutputView> view = session.output(info.name);
        if (!view) return view.error();
        const auto* data = static_cast<const unsigned char*>(view->data);
        Bytes bytes(data, data + view->bytes);
        if (inference == 0) {
          outputs_.push_back({info, view->dims, nullptr, view->bytes, nullptr, bytes, bytes});
        } else {
          outputs_[i].found = std::move(bytes);
        }
      }
    }
    own_difference_ = difference();
    return Done{};
  }

  /// \return kDevice if the device has no room.
  Status allocate() {
    for (auto* transfers : {&inputs_, &outputs_}) {
      for (Transfer& transfer : *transfers) {
        Result<void*> buffer = memory_.allocate(transfer.bytes);
        if (!buffer) return buffer.error();
        transfer.device = *buffer;
      }
    }
    return Done{};
  }

  Status bind(const MemoryPlace& place) {
    // Before they are bound: what a node on the CPU reads may be copied when it is bound.
    if (Status status = copy_inputs(); !status) return status;
    for (const Transfer& one : inputs_) {
      Status status =
          stream_.bind_input(one.info.name, one.info.type, one.device, one.bytes, one.dims, place);
      if (!status) return status;
    }
    for (const Transfer& one : outputs_) {
      Status status =
          stream_.bind_output(one.info.name, one.info.type, one.device, one.bytes, one.dims, place);
      if (!status) return status;
    }
    return Done{};
  }

  Status run_rounds() {
    times_.reserve(kMostRounds);
    for (int i = 0; i < kWarmUpRounds; ++i) {
      if (Status status = round(); !status) return status;
    }
    times_.clear();
    const std::int64_t start = clock_.now_ns();
    while (times_.wait.size() < kMostRounds &&
           (times_.wait.size() < kLeastRounds || clock_.now_ns() - start < kEnoughNs)) {
      if (Status status = round(); !status) return status;
    }
    return Done{};
  }

  Status check_outputs() const {
    if (difference() <= kSameOutputs || own_difference_ > kSameOutputs) return Done{};
    return Error{ErrorCode::kHarness,
                 "the outputs of an inference with inputs and outputs in the GPU's memory differ "
                 "from those with the host's by " +
                     formatted("%.3g", 100 * difference()) +
                     " % of the largest value: one of them is not what the model computes"};
  }

  json figures() const {
    json result = {{"host_to_device",
                    {{"bytes", total_bytes(inputs_)}, {"median_ns", median(times_.to_device)}}},
                   {"device_to_host",
                    {{"bytes", total_bytes(outputs_)}, {"median_ns", median(times_.to_host)}}},
                   {"on_device_ns", median(times_.inference)},
                   {"synchronize_ns", median(times_.wait)},
                   {"rounds", times_.wait.size()},
                   {"output_difference", nullptr},
                   {"reasons", json::object()}};
    if (own_difference_ <= kSameOutputs) {
      result["output_difference"] = difference();
    } else {
      result["reasons"]["output_difference"] =
          "the model's outputs for the same input differ from one inference to the next";
    }
    return result;
  }

 private:
  Status copy_inputs() const {
    for (const Transfer& input : inputs_) {
      Status status = cuda_.copy_to_device(input.device, input.host, input.bytes);
      if (!status) return status;
    }
    return cuda_.synchronize();
  }

  Status copy_outputs() {
    for (Transfer& output : outputs_) {
      Status status = cuda_.copy_to_host(output.found.data(), output.device, output.bytes);
      if (!status) return status;
    }
    return Done{};
  }

  Status round() {
    const std::int64_t start = clock_.now_ns();
    if (Status status = copy_inputs(); !status) return status;
    const std::int64_t copied = clock_.now_ns();
    if (Status status = stream_.run(); !status) return status;
    const std::int64_t returned = clock_.now_ns();
    if (Status status = cuda_.synchronize(); !status) return status;
    const std::int64_t finished = clock_.now_ns();
    if (Status status = copy_outputs(); !status) return status;
    const std::int64_t end = clock_.now_ns();
    times_.to_device.push_back(static_cast<double>(copied - start));
    times_.inference.push_back(static_cast<double>(returned - copied));
    times_.wait.push_back(static_cast<double>(finished - returned));
    times_.to_host.push_back(static_cast<double>(end - finished));
    return Done{};
  }

  double difference() const {
    double largest = 0;
    for (const Transfer& output : outputs_) {
      largest =
          std::max(largest, output_difference(output.info.type, output.expected, output.found));
    }
    return largest;
  }

  const Cudart& cuda_;
  Clock clock_;
  DeviceMemory memory_;
  Session stream_;  ///< After the memory, so that it goes first.
  std::vector<Transfer> inputs_;
  std::vector<Transfer> outputs_;
  Times times_;
  double own_difference_ = 0;
};

}  // namespace

bool has_gpu_memory(const std::string& provider) {
  return provider == "cuda" || provider == "tensorrt";
}

std::optional<CopySetup> copy_setup(const Session& session,
                                    const std::vector<ProviderSettings>& providers) {
  if (!has_gpu_memory(session.provider())) return std::nullopt;
  CopySetup setup;
  for (const ProviderSettings& one : providers) {
    const auto device = one.options.find("device_id");
    if (one.name != session.provider() || device == one.options.end()) continue;
    setup.place.device = static_cast<int>(whole_number(device->second).value_or(0));
  }
  return setup;
}

Result<FoundCopies> measure_copies(Session& session, ModelIo& io, const Clock& clock,
                                   const CopySetup& setup) {
  if (!io.preallocated()) {
    return FoundCopies{nullptr, "the sizes of the outputs are not known before an inference"};
  }
  const Result<Cudart> cuda = Cudart::open(setup.libraries, setup.place.device);
  if (!cuda) return FoundCopies{nullptr, cuda.error().message};
  Result<Session> stream = session.stream();
  if (!stream) return stream.error();
  CopyPass pass(*cuda, clock, std::move(*stream));
  if (Status status = pass.take_host_side(session, io); !status) return status.error();
  if (Status status = pass.allocate(); !status) return FoundCopies{nullptr, status.error().message};
  if (Status status = pass.bind(setup.place); !status) return status.error();
  if (Status status = pass.run_rounds(); !status) return status.error();
  if (Status status = pass.check_outputs(); !status) return status.error();
  return FoundCopies{pass.figures(), ""};
}

}  // namespace edgesmith::harness
