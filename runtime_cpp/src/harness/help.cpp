#include "options.hpp"

namespace edgesmith::harness {

namespace {

constexpr const char* kHelp =
    R"(Measures and checks the models of the bundle that this program lies in.

harness bench    how fast, how large and how accurate the variants are
harness verify   whether the golden samples give the expected outputs
harness info     what this device is

Which model
  --variant NAME        bench: may repeat or be a comma list (all that are there);
                        verify: one (the default variant)
  --model FILE.onnx --samples FILE.safetensors
                        a loose model instead of the bundle's
  --samples FILE        other samples for the bundle's model
By which execution provider
  --provider NAME       cpu, openvino, cuda, tensorrt or a plugin of the bundle; bench: may repeat
                        or be a comma list (the variant's own)
  --require-provider    fail, with the reason, unless all nodes run there
  --provider-option KEY=VALUE
                        an option as the provider names it; may repeat (the bundle's)
  --provider-library FILE
                        a plugin that does not come with the bundle; the report says so
  --provider-device KEY=VALUE
                        which of a plugin's devices: type=cpu|gpu|npu or its metadata; may repeat
  --engine-cache DIR|off
                        where openvino and tensorrt keep compiled engines for a faster start
                        (tensorrt: the user's cache folder; others: off)
How (bench; every combination of variants, providers, threads, shapes and scenarios is a run)
  --scenario NAME       single-stream, offline:STREAMS, fixed-rate:HZ or soak:SECONDS; may repeat
                        (single-stream)
  --threads N,...       intra-op threads; 0: the runtime decides
  --cpus LIST           CPUs to run on, such as 0-3 (those that this program may use)
  --spinning on|off     idle intra-op threads wait actively (the runtime decides)
  --arena on|off        the runtime keeps freed memory for the next inference (on)
  --shape DIM=SIZE,...  sizes of dynamic dimensions; may repeat
  --min-seconds S       time of steady inferences in each process (5)
  --min-iterations N    number of steady inferences in each process (200)
  --processes N         processes for each run, in alternating order (1)
  --profile             time by operator, from a run of its own
  --emulated            this is an emulator: times mean nothing
  --end-with-parent PID stop measuring when the program that started this one is gone
Results
  --json FILE           the report; - for stdout (default: a table)
  --samples-out FILE    raw latencies, as safetensors
  --outputs FILE        the model's outputs for every sample, as safetensors
  --outputs-folder DIR  bench: the same of each variant, as DIR/VARIANT.safetensors; where that
                        fails the report says why
  --id-salt TEXT        salt for the device's id
  --min-sqnr-db X       verify: least signal to quantization noise ratio

Exit codes: 0 done, 2 usage, 3 model or samples, 6 a disk is full, 7 integrity of the bundle, 8 a measurement or a
self-test failed, 10 a file cannot be written, 130 interrupted.
)";

}  // namespace

std::string help_text() { return kHelp; }

}  // namespace edgesmith::harness
