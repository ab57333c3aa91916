{
  "targets": [
    {
      "target_name": "iscsi_initiator",
      "sources": ["src/addon.cc"],
      "defines": ["NAPI_VERSION=9"],
      "cflags": ["-Wall", "-Wextra", "-Werror", "-fvisibility=hidden"],
      "libraries": ["-liscsi"]
    }
  ]
}
