#!/bin/bash
# Runs the package's tests with the addon under AddressSanitizer and with a check
# for leaks. The instrumented addon is built apart (build/asan), so that the
# ordinary one stays as it is. Extra arguments go to vitest.
#
# With ASAN_PLANT_LEAK=1 the tests plant a leak in the addon, and this must fail.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
out=build/asan
mkdir -p "$out"

runtime=$(gcc -print-file-name=libasan.so)
headers=$(dirname "$(node_modules/.bin/node -p process.execPath)")/../include/node

# Node unloads addons before the leaks are looked for, and then nobody knows whose
# frames they are: hence nodelete.
g++ -std=c++20 -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined \
  -fPIC -shared -fvisibility=hidden -Wall -Wextra -Werror -DNAPI_VERSION=9 -DNODE_GYP_MODULE_NAME=iscsi_initiator \
  -Wl,-z,nodelete -I"$headers" native/src/*.cc -liscsi -o "$out/iscsi_initiator.node"

export ISCSI_INITIATOR_ADDON="$root/$out/iscsi_initiator.node"
log="$root/$out/report"
rm -f "$log".*
# Node and V8 lose much on purpose. Suppressions cannot tell it from ours, because
# Node's frames are below every call into the addon; the names of our sources can.
export ASAN_OPTIONS="detect_leaks=1:log_path=$log:exitcode=0:fast_unwind_on_malloc=0:malloc_context_size=12:handle_segv=0"

status=0
LD_PRELOAD="$runtime" node_modules/.bin/node node_modules/vitest/vitest.mjs run \
  --config native/test/asan.config.ts "$@" || status=$?

pattern='native/src/|libiscsi|ERROR: AddressSanitizer|runtime error'
if cat "$log".* 2>/dev/null | grep -q -E "$pattern"; then
  echo "AddressSanitizer found something in the addon:" >&2
  cat "$log".* | grep -B12 -A6 -E "$pattern" | head -80 >&2
  exit 1
fi
[ "$status" -eq 0 ] || exit "$status"
echo "AddressSanitizer found nothing in the addon."
