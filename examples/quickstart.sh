#!/bin/sh
# SPDX-License-Identifier: MIT
# quickstart.sh "Once upon a time": build mote in build/, where it is not built yet, and
# let the bundled model write on.
set -eu
cd "$(dirname "$0")/.."
prompt=${1:-Once upon a time}

sh examples/dependencies.sh build
log=build/quickstart.log
mkdir -p build
[ -x build/examples/mote/mote ] || echo 'building mote in build/, once' >&2
if ! {
    [ -f build/build.ninja ] || meson setup build -Dtests=false
    ninja -C build examples/mote/mote
} >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "quickstart.sh: building failed; all of it is in $log" >&2
    exit 1
fi
exec build/examples/mote/mote run --echo -p "$prompt"
