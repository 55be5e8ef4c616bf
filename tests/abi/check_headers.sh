#!/bin/sh
# SPDX-License-Identifier: MIT
# check_headers.sh INCLUDE_DIR: each public header compiles alone and included twice, as
# C99, C11, C++11 and C++17, without a warning, under every compiler that is there.
set -eu
include=$1
warnings='-Wall -Wextra -Wpedantic -Wconversion -Wundef -Werror'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
count=0
failed=0
compile() { # COMPILER STANDARD LANGUAGE HEADER
    printf '#include <mote/%s>\n#include <mote/%s>\n' "$4" "$4" >"$work/x.$3"
    count=$((count + 1))
    "$1" "-std=$2" $warnings -I"$include" -fsyntax-only "$work/x.$3" || {
        echo "$4: fails with $1 -std=$2"
        failed=1
    }
}
for header in "$include"/mote/*.h; do
    header=${header##*/}
    for compiler in gcc clang; do
        command -v "$compiler" >/dev/null || continue
        compile "$compiler" c99 c "$header"
        compile "$compiler" c11 c "$header"
    done
    for compiler in g++ clang++; do
        command -v "$compiler" >/dev/null || continue
        compile "$compiler" c++11 cc "$header"
        compile "$compiler" c++17 cc "$header"
    done
done
[ "$count" -gt 0 ] || { echo "no compiler found"; exit 77; }
echo "$count compilations"
exit "$failed"
