#include "sockets.h"

#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdint>

namespace {

constexpr uint32_t kMillisecondsPerSecond = 1000;

bool Arguments(napi_env env, napi_callback_info info, napi_value (&argv)[2]) {
  size_t argc = 2;
  return napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr) == napi_ok && argc == 2;
}

// 0, or the errno.
int SetTimeout(int fd, uint32_t milliseconds) {
  timeval limit = {};
  limit.tv_sec = milliseconds / kMillisecondsPerSecond;
  limit.tv_usec = static_cast<suseconds_t>(milliseconds % kMillisecondsPerSecond) * 1000;
  const bool set = setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
                   setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0;
  return set ? 0 : errno;
}

// The descriptor when all has gone well; otherwise it is closed.
napi_value Finish(napi_env env, int fd, int error) {
  if (error == 0) return Integer(env, fd);
  close(fd);
  return Integer(env, -error);
}

napi_value ConnectUnix(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  uint32_t milliseconds = 0;
  size_t length = 0;
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (!Arguments(env, info, argv) || napi_get_value_string_utf8(env, argv[0], nullptr, 0, &length) != napi_ok ||
      napi_get_value_uint32(env, argv[1], &milliseconds) != napi_ok) {
    return TypeError(env, "connectUnix(path, milliseconds) takes a string and an integer");
  }
  if (length >= sizeof address.sun_path) return Integer(env, -ENAMETOOLONG);
  if (napi_get_value_string_utf8(env, argv[0], address.sun_path, sizeof address.sun_path, &length) != napi_ok) {
    return TypeError(env, "the path is a string");
  }
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Integer(env, -errno);
  int error = SetTimeout(fd, milliseconds);
  if (error == 0 && connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) error = errno;
  return Finish(env, fd, error);
}

napi_value NetlinkSocket(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  int32_t protocol = 0;
  uint32_t milliseconds = 0;
  if (!Arguments(env, info, argv) || napi_get_value_int32(env, argv[0], &protocol) != napi_ok ||
      napi_get_value_uint32(env, argv[1], &milliseconds) != napi_ok) {
    return TypeError(env, "netlinkSocket(protocol, milliseconds) takes two integers");
  }
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  if (fd < 0) return Integer(env, -errno);
  return Finish(env, fd, SetTimeout(fd, milliseconds));
}

napi_value SetSocketTimeout(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  int32_t fd = -1;
  uint32_t milliseconds = 0;
  if (!Arguments(env, info, argv) || napi_get_value_int32(env, argv[0], &fd) != napi_ok ||
      napi_get_value_uint32(env, argv[1], &milliseconds) != napi_ok) {
    return TypeError(env, "setSocketTimeout(fd, milliseconds) takes two integers");
  }
  return Integer(env, SetTimeout(fd, milliseconds));
}

}  // namespace

const Function kSocketFunctions[kSocketFunctionCount] = {
    {"connectUnix", ConnectUnix},
    {"netlinkSocket", NetlinkSocket},
    {"setSocketTimeout", SetSocketTimeout},
};
