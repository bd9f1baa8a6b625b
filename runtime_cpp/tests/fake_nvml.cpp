// A driver's library with one GPU that gets warmer with every look at it.
// The names are the driver's, so the rule for ours is off.
// NOLINTBEGIN(readability-identifier-naming)
extern "C" {

int nvmlInit_v2() { return 0; }
int nvmlShutdown() { return 0; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** gpu) {
  static int the_gpu = 0;
  *gpu = &the_gpu;
  return index == 0 ? 0 : 2;
}

int nvmlDeviceGetName(void* /*gpu*/, char* name, unsigned length) {
  if (length < 5) return 7;
  for (int i = 0; i < 5; ++i) name[i] = "Fake"[i];
  return 0;
}

int nvmlDeviceGetClockInfo(void* /*gpu*/, unsigned type, unsigned* mhz) {
  *mhz = type == 1 ? 1500 : 0;
  return 0;
}

int nvmlDeviceGetTemperature(void* /*gpu*/, unsigned /*sensor*/, unsigned* celsius) {
  static unsigned looks = 0;
  *celsius = 60 + looks++;
  return 0;
}

int nvmlDeviceGetTotalEnergyConsumption(void* /*gpu*/, unsigned long long* millijoules) {
  static unsigned long long used = 1000;
  *millijoules = used;
  used += 250;
  return 0;
}

// By its old name, as drivers before 535 have it; there is no power reading.
int nvmlDeviceGetCurrentClocksThrottleReasons(void* /*gpu*/, unsigned long long* reasons) {
  static int looks = 0;
  *reasons = looks++ == 1 ? 0x44 : 0x1;
  return 0;
}
}
// NOLINTEND(readability-identifier-naming)
