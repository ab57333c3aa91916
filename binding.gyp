{
  # Everything native in one build: the initiator addon (its own package under
  # native/) and the flock call that Node lacks.
  "targets": [
    {
      "target_name": "all_addons",
      "type": "none",
      "dependencies": ["native/binding.gyp:iscsi_initiator", "flock"]
    },
    {
      "target_name": "flock",
      "sources": ["src/locks/flock.cc"],
      "defines": ["NAPI_VERSION=9", "NODE_GYP_MODULE_NAME_DEFINED"],
      "cflags": ["-Wall", "-Wextra", "-Werror", "-fvisibility=hidden"]
    }
  ]
}
