#include "connection.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>

#include "arguments.h"

namespace {

// For test/asan.sh: test runners end their processes in ways that skip the check
// at exit.
napi_value check_leaks(napi_env, napi_callback_info) {
  __lsan_do_recoverable_leak_check();
  return nullptr;
}

// Something that the check has to find; several, as the last one may still be
// in a register.
napi_value plant_leak(napi_env, napi_callback_info) {
  for (int i = 0; i < 16; i++) {
    volatile char* lost = new char[1234];
    lost[0] = 1;
  }
  return nullptr;
}

}  // namespace
#endif

NAPI_MODULE_INIT() {
  napi_set_named_property(env, exports, "Connection", Connection::define(env));
#ifdef __SANITIZE_ADDRESS__
  const napi_property_descriptor checks[] = {method("checkLeaks", check_leaks), method("plantLeak", plant_leak)};
  napi_define_properties(env, exports, sizeof checks / sizeof *checks, checks);
#endif
  return exports;
}
