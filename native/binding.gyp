{
  "targets": [
    {
      "target_name": "iscsi_initiator",
      "sources": [
        "src/addon.cc",
        "src/connection.cc",
        "src/crc32c.cc",
        "src/guard.cc",
        "src/login_text.cc"
      ],
      "defines": ["NAPI_VERSION=9"],
      "cflags": ["-Wall", "-Wextra", "-Werror", "-fvisibility=hidden"],
      "libraries": ["-liscsi"]
    }
  ]
}
