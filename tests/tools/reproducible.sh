#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the library twice, from two folders with different names, and compares the bytes.
# Not part of the ordinary run: it compiles everything twice.
#
#     tests/tools/reproducible.sh [FOLDER]
set -eu
source=$(cd "$(dirname "$0")/../.." && pwd)
work=${1:-$(mktemp -d)}
for name in one another-name; do
    mkdir -p "$work/$name"
    (cd "$source" && git archive HEAD) | tar -x -C "$work/$name"
    meson setup "$work/$name/build" "$work/$name" -Dtests=false >/dev/null
    ninja -C "$work/$name/build" >/dev/null
done
bad=0
for file in libmote.so libmote.a; do
    if cmp "$work/one/build/lib/$file" "$work/another-name/build/lib/$file"; then
        echo "$file: the same bytes"
    else
        bad=1
    fi
done
exit "$bad"
