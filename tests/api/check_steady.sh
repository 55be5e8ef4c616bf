#!/bin/sh
# SPDX-License-Identifier: MIT
# check_steady.sh PROGRAM MODEL: while decoding steadily no system call is made but those
# of futexes, whatever the drafter. Needs strace; skipped (77) without it or where
# tracing is not allowed.
set -u
log=$(mktemp) || exit 99
trap 'rm -f "$log"' EXIT
if ! command -v strace >/dev/null || ! strace -f -o "$log" true 2>/dev/null; then
    echo "skipped: strace is not here, or may not trace"
    exit 77
fi
for draft in 0 1 2 3; do
    strace -f -o "$log" "$1" "$2" "$draft" || exit 1
    awk -v draft=$draft '
        /getppid resumed/ { next }
        / getppid\(/ { marks++; next }
        marks == 1 { all++; if ($0 !~ / futex\(|<... futex resumed>/) { print; bad++ } }
        END {
            if (marks != 2) { print "draft " draft ": expected 2 marks, found " marks + 0; exit 1 }
            print "draft " draft ": " all + 0 " futex calls or parts, " bad + 0 " others"
            exit bad > 0
        }' "$log" || exit 1
done
