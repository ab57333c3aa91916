#include "connection.h"

#ifdef PLANT_LEAK
// For test/asan.sh: something that the leak check has to find.
static void plant_leak() {
  volatile char* lost = new char[1234];
  lost[0] = 1;
}
#endif

NAPI_MODULE_INIT() {
#ifdef PLANT_LEAK
  plant_leak();
#endif
  napi_set_named_property(env, exports, "Connection", Connection::define(env));
  return exports;
}
