// Says in its own bytes which compiler, C++ library and C library it was made with.
#include <string>

#if defined(__has_include)
#if __has_include(<features.h>)
#include <features.h>
#endif
#endif

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

#if defined(__clang__)
#define COMPILER "clang " TEXT(__clang_major__) "." TEXT(__clang_minor__) "." TEXT(__clang_patchlevel__)
#elif defined(__GNUC__)
#define COMPILER "gcc " TEXT(__GNUC__) "." TEXT(__GNUC_MINOR__) "." TEXT(__GNUC_PATCHLEVEL__)
#else
#define COMPILER "unknown 0"
#endif

#if defined(_LIBCPP_VERSION)
#define LIBRARY "libc++"
#else
#define LIBRARY "libstdc++11"
#endif

#if defined(__GLIBC__)
#define C_LIBRARY "glibc " TEXT(__GLIBC__) "." TEXT(__GLIBC_MINOR__)
#else
#define C_LIBRARY "other 0"
#endif

static const volatile char facts[] = "edgesmith-probe " COMPILER " " LIBRARY " " C_LIBRARY ";";

int main(int argc, char** argv) {
  const std::string name(argv[0]);
  return facts[name.size() % sizeof facts] == argc ? 1 : 0;
}
