{
  # Everything native in one build: the initiator addon (its own package under
  # native/) and the system calls that Node lacks.
  "targets": [
    {
      "target_name": "all_addons",
      "type": "none",
      "dependencies": ["native/binding.gyp:iscsi_initiator", "posix", "loop"]
    },
    {
      "target_name": "posix",
      "sources": ["src/posix/deadline.cc", "src/posix/descriptors.cc", "src/posix/posix.cc", "src/posix/sockets.cc"],
      "defines": ["NAPI_VERSION=9"],
      "cflags": ["-Wall", "-Wextra", "-Werror", "-fvisibility=hidden"]
    },
    {
      "target_name": "loop",
      "sources": ["datapath/loop/loop.cc"],
      "defines": ["NAPI_VERSION=9"],
      "cflags": ["-Wall", "-Wextra", "-Werror", "-fvisibility=hidden"]
    }
  ]
}
