#!/bin/sh
# SPDX-License-Identifier: MIT
# check_symbols.sh SOURCE_ROOT LIBRARY.so ARCHIVE... : the library exports what the headers
# declare, no less and no more, and this is what symbols.txt lists; and its own objects
# use nothing that would print, end the host, or change its state.
#
# A new public function goes into symbols.txt. One that disappears breaks old programs.
set -eu
root=$1
library=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

sh "$root/tests/abi/public_names.sh" "$root/include" >"$work/declared"
nm -D --defined-only "$library" | awk '$2 != "A" { print $3 }' | sed 's/@.*//' |
    LC_ALL=C sort >"$work/exported"
compare() {
    if ! diff "$work/$1" "$2" >"$work/difference"; then
        echo "$3"
        grep '^[<>]' "$work/difference"
        failed=1
    fi
}
[ -s "$work/declared" ] || { echo "no declarations found in $root/include"; exit 1; }
compare exported "$work/declared" "exported (<) and declared (>) differ:"
LC_ALL=C sort "$root/tests/abi/symbols.txt" >"$work/listed"
compare declared "$work/listed" "declared (<) and symbols.txt (>) differ:"

# Every name that no object may import, also as the fortified variants of a C library.
names='abort exit _exit _Exit quick_exit atexit printf vprintf fprintf vfprintf puts fputs
putchar putc fputc perror stdout stderr signal sigaction raise setlocale setenv srand rand
localeconv __assert_fail'
[ "${MOTE_ASSERTS:-no}" = no ] || names=$(echo "$names" | sed 's/__assert_fail//')
pattern=$(echo $names | sed 's/ /|/g')
for archive in "$@"; do
    nm -u "$archive" | awk '$1 == "U" { print $2 }' | sed 's/@.*//' | LC_ALL=C sort -u |
        grep -Ex "_{0,2}($pattern)(_chk)?" >"$work/imports" || true
    if [ -s "$work/imports" ]; then
        echo "$archive uses what a library must not:"
        cat "$work/imports"
        failed=1
    fi
done
[ "$failed" = 0 ] && echo "$(wc -l <"$work/exported") public functions, as declared"
exit "$failed"
