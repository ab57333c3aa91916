#!/bin/bash
# Runs the package's tests with the addon under AddressSanitizer and with a check
# for leaks. The instrumented addon is built apart (build/asan), so that the
# ordinary one stays as it is. Extra arguments go to vitest.
#
# ASAN_PLANT_LEAK=1 plants a leak in the addon, to see that it would be found.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
out=build/asan
mkdir -p "$out"

runtime=$(gcc -print-file-name=libasan.so)
headers=$(dirname "$(node_modules/.bin/node -p process.execPath)")/../include/node
plant=
[ -z "${ASAN_PLANT_LEAK:-}" ] || plant=-DPLANT_LEAK

# Node unloads addons before the leaks are looked for, and then nobody knows whose
# frames they are: hence nodelete.
# shellcheck disable=SC2086 # an empty flag must vanish
g++ -std=c++20 -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined \
  -fPIC -shared -fvisibility=hidden -Wall -Wextra -Werror -DNAPI_VERSION=9 -DNODE_GYP_MODULE_NAME=iscsi_initiator \
  -Wl,-z,nodelete $plant -I"$headers" native/src/*.cc -liscsi -o "$out/iscsi_initiator.node"

# Node and V8 keep much until the end of the process and free none of it.
cat > "$out/suppressions" <<'END'
leak:node::
leak:v8::
leak:uv_
leak:OPENSSL_
leak:CRYPTO_
leak:rolldown
leak:libnode
END

export ISCSI_INITIATOR_ADDON="$root/$out/iscsi_initiator.node"
export LSAN_OPTIONS="suppressions=$root/$out/suppressions:print_suppressions=0:report_objects=0"
log="$root/$out/report"
rm -f "$log".*
# Only what the addon's own frames allocated counts; the rest of Node has no
# instrumentation, and its reports are told apart by the name of our file.
export ASAN_OPTIONS="detect_leaks=1:log_path=$log:exitcode=0:fast_unwind_on_malloc=0:malloc_context_size=12:handle_segv=0"

status=0
LD_PRELOAD="$runtime" node_modules/.bin/node node_modules/vitest/vitest.mjs run \
  --pool=forks --testTimeout=180000 --hookTimeout=180000 "${@:-native}" || status=$?

# tgtd and others that the tests start do not count.
found=$(cat "$log".* 2>/dev/null | grep -c -E 'iscsi_initiator\.node|libiscsi\.so|heap-use-after-free|buffer-overflow|runtime error' || true)
if [ "$found" -gt 0 ]; then
  echo "AddressSanitizer found something in the addon:" >&2
  grep -h -B12 -A6 -E 'iscsi_initiator\.node|libiscsi\.so|runtime error' "$log".* | head -80 >&2
  exit 1
fi
[ "$status" -eq 0 ] || exit "$status"
echo "AddressSanitizer found nothing in the addon."
