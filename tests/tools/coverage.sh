#!/bin/sh
# SPDX-License-Identifier: MIT
# Lines of lib/ and kernels/ that tests reach, by gcov alone.
#
#     meson setup build-cov -Dbuildtype=debug -Db_coverage=true
#     ninja -C build-cov && meson test -C build-cov --no-suite extra
#     tests/tools/coverage.sh build-cov
set -eu
build=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
find "$build/lib" "$build/kernels" -name '*.gcda' | while read -r data; do
    gcov -n "$data" 2>/dev/null
done | awk '
    /^File/ { file = $2; gsub(/\x27/, "", file); keep = file ~ /^(\.\.\/)*(lib|kernels)\// }
    /^Lines executed/ && keep {
        split($2, part, ":"); percent = part[2] + 0; lines = $4 + 0
        hit = percent * lines / 100
        if (!(file in all) || hit > best[file]) { best[file] = hit; all[file] = lines }
        keep = 0
    }
    END {
        for (file in all) {
            printf "%6.1f %%  %s\n", 100 * best[file] / all[file], file
            sum += best[file]; total += all[file]
        }
        if (total)
            printf "%6.1f %%  of %d lines\n", 100 * sum / total, total
    }' | sort -n
