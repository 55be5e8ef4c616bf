#!/bin/sh
# SPDX-License-Identifier: MIT
# Static checks of the library: cppcheck and clang-tidy, each where it is installed. Findings
# are errors; what was looked at and is not a fault stands below, with the reason.
#
#     tests/tools/static.sh BUILD      (a build folder: clang-tidy reads how files are compiled)
set -eu
build=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."
found=0

if command -v cppcheck >/dev/null 2>&1; then
    # sampler_passes, schema_mask: arrays that are written before they are read, through a
    #   pointer that cppcheck does not follow.
    # draft_head: an index compared with another index is taken for a limit.
    # chat_out: two ends that start as one.
    # reads_uring: this cppcheck does not know __has_include.
    # schema_compile: a return inside a macro; `local` receives the sentence.
    # safetensors: the buffer that snprintf fills.
    cppcheck -q -j2 --enable=warning,portability --std=c11 --library=posix --inline-suppr \
        --error-exitcode=1 --suppress=legacyUninitvar:lib/session/sampler_passes.c \
        --suppress=arrayIndexThenCheck:lib/session/draft_head.c \
        --suppress=duplicateAssignExpression:lib/text/chat_out.c \
        --suppress=uninitvar:lib/text/schema_mask.c \
        --suppress=uninitvar:lib/text/schema_compile.c \
        --suppress=missingReturn:lib/text/schema_compile.c \
        --suppress=ctuuninitvar:lib/file/safetensors.c \
        --suppress=preprocessorErrorDirective:lib/file/reads_uring.c \
        -Iinclude -Ilib -I. lib kernels/*.c kernels/scalar examples/mote || found=1
else
    echo 'no cppcheck: skipped'
fi

if command -v clang-tidy >/dev/null 2>&1; then
    # Left out: opinions (order of parameters, names, assignments in conditions), what compiler
    # warnings say already (conversions), and checks that take arrays of pointers and
    # counted strings for mistakes.
    log=$(mktemp)
    clang-tidy -p "$build" --quiet --checks='-*,bugprone-*,cert-*,-bugprone-easily-swappable-parameters,-bugprone-narrowing-conversions,-bugprone-reserved-identifier,-cert-dcl37-c,-cert-dcl51-cpp,-bugprone-implicit-widening-of-multiplication-result,-bugprone-assignment-in-if-condition,-bugprone-macro-parentheses,-cert-err33-c,-cert-err34-c,-bugprone-sizeof-expression,-bugprone-not-null-terminated-result,-bugprone-suspicious-string-compare,-bugprone-branch-clone,-bugprone-misplaced-widening-cast' \
        lib/*/*.c >"$log" 2>/dev/null || true
    if grep -E '(warning|error):' "$log"; then
        found=1
    fi
    rm -f "$log"
else
    echo 'no clang-tidy: skipped'
fi
exit "$found"
