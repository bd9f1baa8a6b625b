#include "outputs_file.hpp"

#include <utility>

namespace edgesmith::harness {

Result<OutputsFile> OutputsFile::create(const std::string& path,
                                        const std::vector<TensorToWrite>& outputs,
                                        std::int64_t sample_count) {
  std::vector<TensorToWrite> stacked = outputs;
  for (TensorToWrite& output : stacked) {
    output.name = "outputs/" + output.name;
    output.dims.insert(output.dims.begin(), sample_count);
  }
  Result<SafetensorsHead> head =
      safetensors_head(stacked, {{"format", "edgesmith-samples"},
                                 {"schema_version", "1.0"},
                                 {"count", std::to_string(sample_count)}});
  if (!head) return head.error();
  Result<AtomicFile> file = AtomicFile::create(path);
  if (!file) return file.error();
  if (Status status =
          write_all_at(file->descriptor(), file->path(), head->bytes.data(), head->bytes.size(), 0);
      !status) {
    return status.error();
  }
  return OutputsFile(std::move(*file), std::move(head->offsets));
}

OutputsFile::OutputsFile(AtomicFile file, std::vector<std::uint64_t> offsets)
    : file_(std::move(file)), offsets_(std::move(offsets)) {}

Status OutputsFile::put(std::size_t index, std::int64_t sample,
                        const std::vector<unsigned char>& bytes) {
  const std::uint64_t before = static_cast<std::uint64_t>(sample) * bytes.size();
  return write_all_at(file_.descriptor(), file_.path(), bytes.data(), bytes.size(),
                      offsets_[index] + before);
}

}  // namespace edgesmith::harness
