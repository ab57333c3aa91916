{
  # Everything native in one build: the initiator addon (its own package under
  # native/) and the system calls that Node lacks.
  "targets": [
    {
      "target_name": "all_addons",
      "type": "none",
      "dependencies": ["native/binding.gyp:iscsi_initiator", "posix", "loop", "relay"]
    },
    {
      "target_name": "posix",
      "sources": ["src/posix/deadline.cc", "src/posix/descriptors.cc", "src/posix/posix.cc", "src/posix/sockets.cc", "src/posix/standby.cc"],
      "defines": ["NAPI_VERSION=9"],
      "cflags": ["-Wall", "-Wextra", "-Werror", "-fvisibility=hidden"]
    },
    {
      # A program that any dom0 can start, whatever its C library.
      "target_name": "relay",
      "type": "executable",
      "sources": ["src/standby/relay.cc"],
      "cflags": ["-Wall", "-Wextra", "-Werror", "-Os"],
      "ldflags": ["-static", "-s"]
    },
    {
      "target_name": "loop",
      "sources": ["datapath/loop/loop.cc"],
      "defines": ["NAPI_VERSION=9"],
      "cflags": ["-Wall", "-Wextra", "-Werror", "-fvisibility=hidden"]
    }
  ]
}
