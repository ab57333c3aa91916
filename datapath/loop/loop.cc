// The kernel's loop devices, by their ioctls (linux/loop.h).
//
// Every function answers a negative errno where the kernel refuses.
//
//   control(fd, request, argument) -> the ioctl's result; for requests that take an integer
//   configure(loop, image, name, blockSize, flags) -> 0; LOOP_CONFIGURE, since Linux 5.8
//   setStatus(loop, name, flags) -> 0; LOOP_SET_STATUS64
//   getStatus(loop) -> { device, inode, flags, name } of what the loop device is bound to
//   makeNode(path, minor) -> 0; mknod(2) of a loop device's node
#include <errno.h>
#include <linux/loop.h>
#include <linux/major.h>
#include <node_api.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <initializer_list>
#include <string>

namespace {

constexpr size_t kMaxArguments = 5;

// The arguments of one call; `ok` turns false at the first that is missing or mistyped.
class Arguments {
 public:
  Arguments(napi_env env, napi_callback_info info) : env_(env) {
    ok_ = napi_get_cb_info(env, info, &count_, values_, nullptr, nullptr) == napi_ok;
  }

  // 64 bits, for an ioctl's request has its top bit set and must not be narrowed.
  int64_t Integer(size_t index) {
    int64_t value = 0;
    ok_ = ok_ && index < count_ && napi_get_value_int64(env_, values_[index], &value) == napi_ok;
    return value;
  }

  std::string Text(size_t index) {
    size_t length = 0;
    ok_ = ok_ && index < count_ &&
          napi_get_value_string_utf8(env_, values_[index], nullptr, 0, &length) == napi_ok;
    if (!ok_) return {};
    std::string text(length + 1, '\0');
    ok_ = napi_get_value_string_utf8(env_, values_[index], text.data(), text.size(), &length) == napi_ok;
    text.resize(length);
    return text;
  }

  // Whether all were well; throws into JavaScript if not.
  bool Check(const char* usage) {
    if (!ok_) napi_throw_type_error(env_, nullptr, usage);
    return ok_;
  }

 private:
  napi_env env_;
  size_t count_ = kMaxArguments;
  napi_value values_[kMaxArguments] = {};
  bool ok_ = false;
};

napi_value Integer(napi_env env, int64_t value) {
  napi_value result;
  return napi_create_int64(env, value, &result) == napi_ok ? result : nullptr;
}

template <typename Argument>
int64_t Ioctl(int64_t fd, unsigned long request, Argument argument) {
  int result = 0;
  do {
    result = ioctl(static_cast<int>(fd), request, argument);
  } while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : result;
}

loop_info64 Information(const std::string& name, int64_t flags) {
  loop_info64 information = {};
  information.lo_flags = static_cast<__u32>(flags);
  // The kernel ends the name itself; one too long is cut, never overrun.
  memcpy(information.lo_file_name, name.data(),
         name.size() < LO_NAME_SIZE - 1 ? name.size() : LO_NAME_SIZE - 1);
  return information;
}

napi_value Control(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int64_t fd = arguments.Integer(0);
  const int64_t request = arguments.Integer(1);
  const int64_t argument = arguments.Integer(2);
  if (!arguments.Check("control(fd, request, argument) takes three integers")) return nullptr;
  return Integer(env, Ioctl(fd, static_cast<unsigned long>(request), static_cast<unsigned long>(argument)));
}

napi_value Configure(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int64_t loop = arguments.Integer(0);
  loop_config configuration = {};
  configuration.fd = static_cast<__u32>(arguments.Integer(1));
  const std::string name = arguments.Text(2);
  configuration.block_size = static_cast<__u32>(arguments.Integer(3));
  configuration.info = Information(name, arguments.Integer(4));
  if (!arguments.Check("configure(loop, image, name, blockSize, flags) takes integers and a string")) {
    return nullptr;
  }
  return Integer(env, Ioctl(loop, LOOP_CONFIGURE, &configuration));
}

napi_value SetStatus(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int64_t loop = arguments.Integer(0);
  const std::string name = arguments.Text(1);
  loop_info64 information = Information(name, arguments.Integer(2));
  if (!arguments.Check("setStatus(loop, name, flags) takes integers and a string")) return nullptr;
  return Integer(env, Ioctl(loop, LOOP_SET_STATUS64, &information));
}

napi_value GetStatus(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int64_t loop = arguments.Integer(0);
  if (!arguments.Check("getStatus(loop) takes an integer")) return nullptr;
  loop_info64 information = {};
  const int64_t result = Ioctl(loop, LOOP_GET_STATUS64, &information);
  if (result < 0) return Integer(env, result);
  const char* name = reinterpret_cast<const char*>(information.lo_file_name);
  napi_value object;
  napi_value device;
  napi_value inode;
  napi_value flags;
  napi_value text;
  const bool made =
      napi_create_object(env, &object) == napi_ok &&
      napi_create_bigint_uint64(env, information.lo_device, &device) == napi_ok &&
      napi_set_named_property(env, object, "device", device) == napi_ok &&
      napi_create_bigint_uint64(env, information.lo_inode, &inode) == napi_ok &&
      napi_set_named_property(env, object, "inode", inode) == napi_ok &&
      napi_create_uint32(env, information.lo_flags, &flags) == napi_ok &&
      napi_set_named_property(env, object, "flags", flags) == napi_ok &&
      napi_create_string_utf8(env, name, strnlen(name, LO_NAME_SIZE), &text) == napi_ok &&
      napi_set_named_property(env, object, "name", text) == napi_ok;
  return made ? object : nullptr;
}

napi_value MakeNode(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const std::string path = arguments.Text(0);
  const int64_t minor = arguments.Integer(1);
  if (!arguments.Check("makeNode(path, minor) takes a string and an integer")) return nullptr;
  const dev_t device = makedev(LOOP_MAJOR, static_cast<unsigned>(minor));
  return Integer(env, mknod(path.c_str(), S_IFBLK | 0600, device) == 0 ? 0 : -errno);
}

struct Function {
  const char* name;
  napi_callback callback;
};

}  // namespace

NAPI_MODULE_INIT() {
  for (const Function& each : std::initializer_list<Function>{{"control", Control},
                                                              {"configure", Configure},
                                                              {"setStatus", SetStatus},
                                                              {"getStatus", GetStatus},
                                                              {"makeNode", MakeNode}}) {
    napi_value function;
    if (napi_create_function(env, each.name, NAPI_AUTO_LENGTH, each.callback, nullptr, &function) !=
            napi_ok ||
        napi_set_named_property(env, exports, each.name, function) != napi_ok) {
      return nullptr;
    }
  }
  return exports;
}
