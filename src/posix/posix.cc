// System calls that Node lacks.
//
//   flock(fd, operation) -> 0, or the errno. Callers pass LOCK_NB and wait
//     between tries: a blocking flock would stop the event loop.
//   syslog(priority, text)
#include <errno.h>
#include <node_api.h>
#include <sys/file.h>
#include <syslog.h>

#include <string>

namespace {

bool Arguments(napi_env env, napi_callback_info info, napi_value (&argv)[2]) {
  size_t argc = 2;
  return napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr) == napi_ok && argc == 2;
}

napi_value Flock(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  int32_t fd = -1;
  int32_t operation = 0;
  if (!Arguments(env, info, argv) || napi_get_value_int32(env, argv[0], &fd) != napi_ok ||
      napi_get_value_int32(env, argv[1], &operation) != napi_ok) {
    napi_throw_type_error(env, nullptr, "flock(fd, operation) takes two integers");
    return nullptr;
  }
  int error = 0;
  do {
    error = flock(fd, operation) == 0 ? 0 : errno;
  } while (error == EINTR);
  napi_value result;
  return napi_create_int32(env, error, &result) == napi_ok ? result : nullptr;
}

napi_value Syslog(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  int32_t priority = 0;
  size_t length = 0;
  if (!Arguments(env, info, argv) || napi_get_value_int32(env, argv[0], &priority) != napi_ok ||
      napi_get_value_string_utf8(env, argv[1], nullptr, 0, &length) != napi_ok) {
    napi_throw_type_error(env, nullptr, "syslog(priority, text) takes an integer and a string");
    return nullptr;
  }
  std::string text(length + 1, '\0');
  napi_get_value_string_utf8(env, argv[1], text.data(), text.size(), &length);
  static const bool opened = (openlog("gfs2-sr", LOG_PID | LOG_NDELAY, LOG_DAEMON), true);
  static_cast<void>(opened);
  syslog(priority, "%s", text.c_str());
  return nullptr;
}

bool Export(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  napi_value function;
  return napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function) == napi_ok &&
         napi_set_named_property(env, exports, name, function) == napi_ok;
}

}  // namespace

NAPI_MODULE_INIT() {
  return Export(env, exports, "flock", Flock) && Export(env, exports, "syslog", Syslog) ? exports : nullptr;
}
