#include "descriptors.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <vector>

namespace {

// SCM_MAX_FD of the kernel.
constexpr size_t kMaxDescriptors = 253;

bool Integers(napi_env env, napi_callback_info info, int32_t* values, size_t count) {
  napi_value argv[2];
  size_t argc = 2;
  if (napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr) != napi_ok || argc != count) return false;
  for (size_t index = 0; index < count; ++index) {
    if (napi_get_value_int32(env, argv[index], values + index) != napi_ok) return false;
  }
  return true;
}

napi_value List(napi_env env, const std::vector<int>& values) {
  napi_value list;
  if (napi_create_array_with_length(env, values.size(), &list) != napi_ok) return nullptr;
  for (uint32_t index = 0; index < values.size(); ++index) {
    if (napi_set_element(env, list, index, Integer(env, values[index])) != napi_ok) return nullptr;
  }
  return list;
}

napi_value SocketPair(napi_env env, napi_callback_info) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return Integer(env, errno);
  return List(env, {ends[0], ends[1]});
}

napi_value SendDescriptors(napi_env env, napi_callback_info info) {
  napi_value argv[3];
  size_t argc = 3;
  int32_t socket = -1;
  uint32_t note = 0;
  uint32_t count = 0;
  if (napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr) != napi_ok || argc != 3 ||
      napi_get_value_int32(env, argv[0], &socket) != napi_ok ||
      napi_get_value_uint32(env, argv[1], &note) != napi_ok ||
      napi_get_array_length(env, argv[2], &count) != napi_ok || count == 0 || count > kMaxDescriptors) {
    return TypeError(env,
                     "sendDescriptors(socket, note, descriptors) takes two integers and 1 to 253 more in an array");
  }
  std::vector<int> descriptors(count);
  for (uint32_t index = 0; index < count; ++index) {
    napi_value element;
    if (napi_get_element(env, argv[2], index, &element) != napi_ok ||
        napi_get_value_int32(env, element, &descriptors[index]) != napi_ok) {
      return TypeError(env, "descriptors are integers");
    }
  }
  iovec data = {&note, sizeof note};
  std::vector<char> control(CMSG_SPACE(count * sizeof(int)));
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(count * sizeof(int));
  memcpy(CMSG_DATA(header), descriptors.data(), count * sizeof(int));
  return Integer(env, sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof note ? 0 : errno);
}

napi_value ReceiveDescriptors(napi_env env, napi_callback_info info) {
  int32_t values[2];
  if (!Integers(env, info, values, 2)) return TypeError(env, "receiveDescriptors(socket, peek) takes two integers");
  uint32_t note = 0;
  iovec data = {&note, sizeof note};
  std::vector<char> control(CMSG_SPACE(kMaxDescriptors * sizeof(int)));
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const int flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC | (values[1] != 0 ? MSG_PEEK : 0);
  if (recvmsg(values[0], &message, flags) < 0) return Integer(env, errno);
  std::vector<int> descriptors;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    descriptors.resize(count);
    memcpy(descriptors.data(), CMSG_DATA(header), count * sizeof(int));
  }
  if ((message.msg_flags & MSG_CTRUNC) != 0) {
    for (const int descriptor : descriptors) close(descriptor);
    return Integer(env, EMFILE);
  }
  napi_value result;
  napi_value number;
  const bool made = napi_create_object(env, &result) == napi_ok &&
                    napi_create_uint32(env, note, &number) == napi_ok &&
                    napi_set_named_property(env, result, "note", number) == napi_ok &&
                    napi_set_named_property(env, result, "descriptors", List(env, descriptors)) == napi_ok;
  return made ? result : nullptr;
}

napi_value QueuedMessages(napi_env env, napi_callback_info info) {
  int32_t socket = -1;
  if (!Integers(env, info, &socket, 1)) return TypeError(env, "queuedMessages(socket) takes an integer");
  int bytes = 0;
  return Integer(env, ioctl(socket, SIOCINQ, &bytes) == 0 ? bytes / static_cast<int>(sizeof(uint32_t)) : -errno);
}

napi_value DescriptorOf(napi_env env, napi_callback_info info) {
  int32_t values[2];
  if (!Integers(env, info, values, 2)) return TypeError(env, "descriptorOf(pid, descriptor) takes two integers");
  const int process = static_cast<int>(syscall(SYS_pidfd_open, values[0], 0));
  if (process < 0) return Integer(env, -errno);
  const int descriptor = static_cast<int>(syscall(SYS_pidfd_getfd, process, values[1], 0));
  const int error = errno;
  close(process);
  return Integer(env, descriptor < 0 ? -error : descriptor);
}

}  // namespace

const Function kDescriptorFunctions[kDescriptorFunctionCount] = {
    {"socketPair", SocketPair},
    {"sendDescriptors", SendDescriptors},
    {"receiveDescriptors", ReceiveDescriptors},
    {"queuedMessages", QueuedMessages},
    {"descriptorOf", DescriptorOf},
};
