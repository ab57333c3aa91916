#include "standby.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdint>
#include <vector>

namespace {

constexpr size_t kStreams = 3;
// More than the kernel lets a message have (net.core.wmem_default).
constexpr size_t kMaxRequest = 1 << 20;

template <size_t count>
bool Integers(napi_env env, napi_callback_info info, int32_t (&values)[count]) {
  napi_value argv[count];
  size_t argc = count;
  if (napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr) != napi_ok || argc != count) return false;
  for (size_t index = 0; index < count; ++index) {
    if (napi_get_value_int32(env, argv[index], &values[index]) != napi_ok) return false;
  }
  return true;
}

// 0 when there is something to read, or the errno.
int Wait(int fd, int milliseconds) {
  pollfd waiting = {fd, POLLIN, 0};
  const int ready = poll(&waiting, 1, milliseconds);
  return ready > 0 ? 0 : ready == 0 ? ETIMEDOUT : errno;
}

bool Credentials(int fd, ucred& credentials) {
  socklen_t length = sizeof credentials;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0;
}

napi_value ListenAt(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  size_t argc = 1;
  size_t length = 0;
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr) != napi_ok || argc != 1 ||
      napi_get_value_string_utf8(env, argv[0], nullptr, 0, &length) != napi_ok) {
    return TypeError(env, "listenAt(path) takes a string");
  }
  if (length >= sizeof address.sun_path) return Integer(env, -ENAMETOOLONG);
  napi_get_value_string_utf8(env, argv[0], address.sun_path, sizeof address.sun_path, &length);
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0) return Integer(env, -errno);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 && listen(fd, 0) == 0) {
    return Integer(env, fd);
  }
  const int error = errno;
  close(fd);
  return Integer(env, -error);
}

napi_value AcceptCaller(napi_env env, napi_callback_info info) {
  int32_t values[2];
  if (!Integers(env, info, values)) return TypeError(env, "acceptCaller(listener, milliseconds) takes two integers");
  if (const int error = Wait(values[0], values[1]); error != 0) return Integer(env, -error);
  const int fd = accept4(values[0], nullptr, nullptr, SOCK_CLOEXEC);
  if (fd < 0) return Integer(env, -errno);
  ucred credentials = {};
  if (Credentials(fd, credentials) && credentials.uid == geteuid()) return Integer(env, fd);
  close(fd);
  return Integer(env, -EPERM);
}

napi_value ReceiveCall(napi_env env, napi_callback_info info) {
  int32_t values[2];
  if (!Integers(env, info, values)) return TypeError(env, "receiveCall(socket, milliseconds) takes two integers");
  if (const int error = Wait(values[0], values[1]); error != 0) return Integer(env, error);
  std::vector<char> request(kMaxRequest);
  iovec data = {request.data(), request.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kStreams * sizeof(int))];
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t length = recvmsg(values[0], &message, MSG_CMSG_CLOEXEC);
  if (length < 0) return Integer(env, errno);
  int streams[kStreams];
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (length == 0 || header == nullptr || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len != CMSG_LEN(sizeof streams) || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return Integer(env, ECONNRESET);
  }
  memcpy(streams, CMSG_DATA(header), sizeof streams);
  napi_value result;
  napi_value text;
  napi_value list;
  bool made = napi_create_object(env, &result) == napi_ok &&
              napi_create_string_utf8(env, request.data(), static_cast<size_t>(length), &text) == napi_ok &&
              napi_set_named_property(env, result, "request", text) == napi_ok &&
              napi_create_array_with_length(env, kStreams, &list) == napi_ok;
  for (uint32_t index = 0; made && index < kStreams; ++index) {
    made = napi_set_element(env, list, index, Integer(env, streams[index])) == napi_ok;
  }
  return made && napi_set_named_property(env, result, "streams", list) == napi_ok ? result : nullptr;
}

napi_value TakeStreams(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  size_t argc = 1;
  if (napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr) != napi_ok || argc != 1) {
    return TypeError(env, "takeStreams(streams) takes an array");
  }
  for (uint32_t index = 0; index < kStreams; ++index) {
    napi_value element;
    int32_t fd = -1;
    if (napi_get_element(env, argv[0], index, &element) != napi_ok ||
        napi_get_value_int32(env, element, &fd) != napi_ok) {
      return TypeError(env, "streams are three integers");
    }
    if (dup2(fd, static_cast<int>(index)) < 0) return Integer(env, errno);
    close(fd);
  }
  return Integer(env, 0);
}

}  // namespace

const Function kStandbyFunctions[kStandbyFunctionCount] = {
    {"listenAt", ListenAt},       {"acceptCaller", AcceptCaller}, {"receiveCall", ReceiveCall},
    {"takeStreams", TakeStreams},
};
