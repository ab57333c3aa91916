// System calls that Node lacks.
//
//   flock(fd, operation) -> 0, or the errno. Callers pass LOCK_NB and wait
//     between tries: a blocking flock would stop the event loop.
//   syslog(priority, text)
//   getXattr(fd, name) -> the extended attribute's text, or the errno
//   setXattr(fd, name, text) -> 0, or the errno
//   exchange(path, other) -> 0, or the errno: each name gets what the other had
//   setDeadline(milliseconds, fd, answer, line, launcher, exitCode): unless it is set
//     again or ended by then, writes the answer to fd and the line to syslog, tells the
//     launcher, and ends this process. The launcher is a parent process that is told by a
//     signal; minus the descriptor of a socket that is told by the exit code; or 0
//   endDeadline(): from its return on, no deadline ends this process, nor does a later one
//   exit(code): ends this process at once; Node's own waits for its threads
//   alignedBuffer(length) -> memory that begins at a page, as direct I/O needs it
// and those of descriptors.h, sockets.h and standby.h.
#include <errno.h>
#include <fcntl.h>
#include <node_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <syslog.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "deadline.h"
#include "descriptors.h"
#include "log.h"
#include "sockets.h"
#include "standby.h"

namespace {

template <size_t count>
bool Arguments(napi_env env, napi_callback_info info, napi_value (&argv)[count]) {
  size_t argc = count;
  return napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr) == napi_ok && argc == count;
}

bool Text(napi_env env, napi_value value, std::string& text) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) return false;
  text.resize(length + 1);
  if (napi_get_value_string_utf8(env, value, text.data(), text.size(), &length) != napi_ok) return false;
  text.resize(length);
  return true;
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
  std::string text;
  if (!Arguments(env, info, argv) || napi_get_value_int32(env, argv[0], &priority) != napi_ok ||
      !Text(env, argv[1], text)) {
    napi_throw_type_error(env, nullptr, "syslog(priority, text) takes an integer and a string");
    return nullptr;
  }
  Log(priority, text);
  return nullptr;
}

napi_value GetXattr(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  int32_t fd = -1;
  std::string name;
  if (!Arguments(env, info, argv) || napi_get_value_int32(env, argv[0], &fd) != napi_ok ||
      !Text(env, argv[1], name)) {
    napi_throw_type_error(env, nullptr, "getXattr(fd, name) takes an integer and a string");
    return nullptr;
  }
  char text[256];
  const ssize_t length = fgetxattr(fd, name.c_str(), text, sizeof text);
  napi_value result;
  const napi_status made = length < 0 ? napi_create_int32(env, errno, &result)
                                      : napi_create_string_utf8(env, text, static_cast<size_t>(length), &result);
  return made == napi_ok ? result : nullptr;
}

napi_value SetXattr(napi_env env, napi_callback_info info) {
  napi_value argv[3];
  int32_t fd = -1;
  std::string name;
  std::string text;
  if (!Arguments(env, info, argv) || napi_get_value_int32(env, argv[0], &fd) != napi_ok ||
      !Text(env, argv[1], name) || !Text(env, argv[2], text)) {
    napi_throw_type_error(env, nullptr, "setXattr(fd, name, text) takes an integer and two strings");
    return nullptr;
  }
  const int error = fsetxattr(fd, name.c_str(), text.data(), text.size(), 0) == 0 ? 0 : errno;
  napi_value result;
  return napi_create_int32(env, error, &result) == napi_ok ? result : nullptr;
}

napi_value Exchange(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  std::string path;
  std::string other;
  if (!Arguments(env, info, argv) || !Text(env, argv[0], path) || !Text(env, argv[1], other)) {
    napi_throw_type_error(env, nullptr, "exchange(path, other) takes two strings");
    return nullptr;
  }
  const int error =
      renameat2(AT_FDCWD, path.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE) == 0 ? 0 : errno;
  napi_value result;
  return napi_create_int32(env, error, &result) == napi_ok ? result : nullptr;
}

napi_value SetDeadline(napi_env env, napi_callback_info info) {
  napi_value argv[6];
  int64_t milliseconds = 0;
  int32_t fd = -1;
  std::string answer;
  std::string line;
  int32_t launcher = 0;
  int32_t exit_code = 1;
  if (!Arguments(env, info, argv) || napi_get_value_int64(env, argv[0], &milliseconds) != napi_ok ||
      napi_get_value_int32(env, argv[1], &fd) != napi_ok || !Text(env, argv[2], answer) ||
      !Text(env, argv[3], line) || napi_get_value_int32(env, argv[4], &launcher) != napi_ok ||
      napi_get_value_int32(env, argv[5], &exit_code) != napi_ok) {
    napi_throw_type_error(env, nullptr,
                          "setDeadline(milliseconds, fd, answer, line, launcher, exitCode) takes integers and strings");
    return nullptr;
  }
  if (!Deadline::Get().Set(static_cast<uint64_t>(milliseconds), fd, std::move(answer), std::move(line),
                           launcher, exit_code)) {
    napi_throw_error(env, nullptr, "this host starts no more threads");
  }
  return nullptr;
}

napi_value EndDeadline(napi_env, napi_callback_info) {
  Deadline::Get().End();
  return nullptr;
}

napi_value Exit(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  int32_t code = 0;
  if (!Arguments(env, info, argv) || napi_get_value_int32(env, argv[0], &code) != napi_ok) {
    napi_throw_type_error(env, nullptr, "exit(code) takes an integer");
    return nullptr;
  }
  _exit(code);
}

napi_value AlignedBuffer(napi_env env, napi_callback_info info) {
  constexpr size_t kAlignment = 4096;
  napi_value argv[1];
  uint32_t length = 0;
  if (!Arguments(env, info, argv) || napi_get_value_uint32(env, argv[0], &length) != napi_ok || length == 0) {
    napi_throw_type_error(env, nullptr, "alignedBuffer(length) takes a positive integer");
    return nullptr;
  }
  void* memory = nullptr;
  if (posix_memalign(&memory, kAlignment, length) != 0) {
    napi_throw_error(env, nullptr, "this process gets no more memory");
    return nullptr;
  }
  memset(memory, 0, length);
  napi_value result;
  const napi_status made = napi_create_external_buffer(
      env, length, memory, [](napi_env, void* data, void*) { free(data); }, nullptr, &result);
  if (made == napi_ok) return result;
  free(memory);
  return nullptr;
}

bool Export(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  napi_value function;
  return napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function) == napi_ok &&
         napi_set_named_property(env, exports, name, function) == napi_ok;
}

}  // namespace

NAPI_MODULE_INIT() {
  for (const auto& [name, callback] : kDescriptorFunctions) {
    if (!Export(env, exports, name, callback)) return nullptr;
  }
  for (const auto& [name, callback] : kSocketFunctions) {
    if (!Export(env, exports, name, callback)) return nullptr;
  }
  for (const auto& [name, callback] : kStandbyFunctions) {
    if (!Export(env, exports, name, callback)) return nullptr;
  }
  return Export(env, exports, "flock", Flock) && Export(env, exports, "syslog", Syslog) &&
                 Export(env, exports, "getXattr", GetXattr) && Export(env, exports, "setXattr", SetXattr) &&
                 Export(env, exports, "exchange", Exchange) &&
                 Export(env, exports, "setDeadline", SetDeadline) &&
                 Export(env, exports, "endDeadline", EndDeadline) && Export(env, exports, "exit", Exit) &&
                 Export(env, exports, "alignedBuffer", AlignedBuffer)
             ? exports
             : nullptr;
}
