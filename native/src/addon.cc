#include "connection.h"

NAPI_MODULE_INIT() {
  napi_set_named_property(env, exports, "Connection", Connection::define(env));
  return exports;
}
