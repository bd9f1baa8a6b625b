#include "memory_limit.hpp"

#include <unistd.h>

#include <cstddef>

namespace edgesmith {

bool fits_memory(std::uint64_t bytes) {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long page_bytes = ::sysconf(_SC_PAGESIZE);
  if (bytes > PTRDIFF_MAX) return false;
  if (pages <= 0 || page_bytes <= 0) return true;
  return bytes / static_cast<std::uint64_t>(page_bytes) < static_cast<std::uint64_t>(pages);
}

}  // namespace edgesmith
