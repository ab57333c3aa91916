"""A fake network filesystem: `fake-filesystem.py FOLDER` mounts an empty FUSE filesystem and serves it to its end.

It stands for the network filesystems that need a server of their own; the kernel reports it as FUSE.
"""
import ctypes
import os
import stat
import struct
import sys

GETATTR, STATFS, INIT, DESTROY = 3, 17, 26, 38
ENOSYS = 38

folder = sys.argv[1]
fuse = os.open("/dev/fuse", os.O_RDWR)
options = "fd=%d,rootmode=40000,user_id=%d,group_id=%d" % (fuse, os.getuid(), os.getgid())
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"fake", folder.encode(), b"fuse", 6, options.encode()) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
print("mounted", flush=True)

while True:
    try:
        request = os.read(fuse, 1 << 20)
    except OSError:
        break  # Unmounted.
    _, opcode, unique = struct.unpack_from("=IIQ", request)
    error, body = 0, b""
    if opcode == INIT:
        body = struct.pack("=IIIIHHI", 7, 12, 65536, 0, 1, 1, 65536)
    elif opcode == GETATTR:
        attributes = struct.pack("=6Q10I", 1, 0, 0, 0, 0, 0, 0, 0, 0, stat.S_IFDIR | 0o755, 2, 0, 0, 0, 4096, 0)
        body = struct.pack("=QII", 1, 0, 0) + attributes
    elif opcode == STATFS:
        body = struct.pack("=5Q4I24x", 1000, 1000, 1000, 10, 10, 4096, 255, 4096, 0)
    elif opcode == DESTROY:
        break
    else:
        error = -ENOSYS
    os.write(fuse, struct.pack("=IiQ", 16 + len(body), error, unique) + body)
