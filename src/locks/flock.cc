// flock(2) for Node, which has no call for it.
//
// flock(fd, operation) -> 0, or the errno. Only non-blocking use is sensible
// on the main thread: callers pass LOCK_NB and wait between tries.
#include <errno.h>
#include <node_api.h>
#include <sys/file.h>

namespace {

napi_value Flock(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  int32_t fd = -1;
  int32_t operation = 0;
  if (napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr) != napi_ok || argc != 2 ||
      napi_get_value_int32(env, argv[0], &fd) != napi_ok ||
      napi_get_value_int32(env, argv[1], &operation) != napi_ok) {
    napi_throw_type_error(env, nullptr, "flock(fd, operation) takes two integers");
    return nullptr;
  }
  int error = 0;
  while (flock(fd, operation) != 0) {
    error = errno;
    if (error != EINTR) break;
    error = 0;
  }
  napi_value result;
  if (napi_create_int32(env, error, &result) != napi_ok) return nullptr;
  return result;
}

}  // namespace

NAPI_MODULE_INIT() {
  napi_value function;
  if (napi_create_function(env, "flock", NAPI_AUTO_LENGTH, Flock, nullptr, &function) != napi_ok ||
      napi_set_named_property(env, exports, "flock", function) != napi_ok) {
    return nullptr;
  }
  return exports;
}
