/// \file
/// What copies to and from an NVIDIA GPU take of the CUDA runtime: its library is found where the
/// execution provider found it, and CUDA's headers are not needed.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "edgesmith/result.hpp"

namespace edgesmith::harness {

/// The library, with one device as that of this thread.
class Cudart {
 public:
  /// Its names, by major version.
  static std::vector<std::string> libraries() { return {"libcudart.so.13", "libcudart.so.12"}; }

  /// Takes the first of these that is loaded already, else the first that can be loaded.
  /// \return kDevice if there is no such library or no such device.
  static Result<Cudart> open(const std::vector<std::string>& libraries, int device);

  Cudart(Cudart&&) noexcept;
  Cudart& operator=(Cudart&&) noexcept;
  Cudart(const Cudart&) = delete;
  Cudart& operator=(const Cudart&) = delete;
  ~Cudart();

  /// \return kDevice if there is not so much memory.
  Result<void*> allocate(std::size_t bytes) const;
  void release(void* memory) const;

  /// From ordinary memory this may return while the copy is under way: synchronize() ends it.
  /// \return kHarness with the library's words.
  Status copy_to_device(void* to, const void* from, std::size_t bytes) const;
  /// Returns when what it copies has arrived. \return kHarness with the library's words.
  Status copy_to_host(void* to, const void* from, std::size_t bytes) const;

  /// Waits for all that the device was told to do. \return kHarness also for what failed in that.
  Status synchronize() const;

 private:
  struct Library;
  explicit Cudart(std::unique_ptr<Library> library);
  std::unique_ptr<Library> library_;
};

/// Buffers on a device, which go with the object.
class DeviceMemory {
 public:
  /// \param cuda Must outlive this.
  explicit DeviceMemory(const Cudart& cuda) : cuda_(cuda) {}
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  ~DeviceMemory() {
    for (void* buffer : buffers_) cuda_.release(buffer);
  }

  Result<void*> allocate(std::size_t bytes) {
    Result<void*> buffer = cuda_.allocate(bytes);
    if (buffer) buffers_.push_back(*buffer);
    return buffer;
  }

 private:
  const Cudart& cuda_;
  std::vector<void*> buffers_;
};

}  // namespace edgesmith::harness
