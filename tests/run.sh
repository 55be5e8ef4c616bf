#!/bin/sh
# SPDX-License-Identifier: MIT
# Everything that ordinary tests check: installs what is missing, builds with gcc and clang,
# with sanitizers and for other machines (in build-tests/), runs the tests of each, installs the
# library into a folder and builds a program against it. Can be run again and again. The
# last line says how many passed, failed and were skipped.
#
# sh tests/run.sh [MACHINE...]: with names (aarch64, armhf, i686, windows, wasm) only the
# builds and tests for these. Without, all of the above for the machine itself and AArch64;
# MOTE_CROSS=1 adds the other four, gigabytes of compilers and emulators.
#
# With ../shared beside the project, tests that need its larger golden data run too. With
# CI=true, what a slow machine would not end in half an hour is skipped, and told.
set -u
cd "$(dirname "$0")/.."
machines=$*
for machine in $machines; do
    case $machine in
    aarch64 | armhf | i686 | windows | wasm) ;;
    *)
        echo "run.sh: there are no tests for a machine $machine" >&2
        exit 2
        ;;
    esac
done
[ -z "$machines" ] || MOTE_CROSS=1
export MOTE_CROSS="${MOTE_CROSS:-0}"
root=$PWD
work=$root/build-tests
passed=0
failed=0
skipped=0
started=$(date +%s)
pace=0 # seconds for gcc's build and tests
mkdir -p "$work"

say() { printf '== %4d s  %s\n' "$(($(date +%s) - started))" "$*"; }

# late TENTHS WHAT: WHAT takes so many tenths of the time that gcc's build and tests took, and
# a CI run would not end in half an hour.
late() {
    [ "${CI:-}" = true ] &&
        [ "$(($(date +%s) - started + pace * $1 / 10))" -gt 1680 ] || return 1
    say "$2: skipped, this machine is slow (without CI=true it runs)"
    skipped=$((skipped + 1))
}

# check NAME COMMAND...: one test of its own.
check() {
    name=$1
    shift
    if "$@" >"$work/$name.log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        say "FAILED: $name"
        tail -n 30 "$work/$name.log"
        return 1
    fi
}

# number LABEL: what `meson test` reported under it.
number() { sed -n "s/^$1: *\([0-9]*\).*/\1/p" "$log" | tail -n 1; }

# run_tests BUILD OPTIONS...: all tests of a build folder, counted.
run_tests() {
    build=$1
    shift
    log=$work/$build-test.log
    # Long runs stand in a suite of their own and are started by hand.
    meson test -C "$work/$build" --no-rebuild --print-errorlogs --no-suite extra \
        --timeout-multiplier 3 "$@" >"$log" 2>&1
    result=$?
    ok=$(number Ok)
    bad=$(($(number Fail || echo 0) + $(number Timeout || echo 0) + 0))
    if [ -z "$ok" ]; then
        failed=$((failed + 1))
        say "FAILED: $build: the tests did not run"
        tail -n 30 "$log"
        return 1
    fi
    passed=$((passed + ok + $(number 'Expected Fail')))
    failed=$((failed + bad + $(number 'Unexpected Pass')))
    skipped=$((skipped + $(number Skipped)))
    say "$build: $ok passed, $bad failed, $(number Skipped) skipped"
    [ "$result" = 0 ] || cat "$log"
    return "$result"
}

# build NAME COMPILER OPTIONS...: set up and build; says so when it fails.
build() {
    folder=$1
    compiler=$2
    shift 2
    say "building $folder with $("$compiler" --version | head -n 1)"
    if [ ! -f "$work/$folder/build.ninja" ]; then
        rm -rf "${work:?}/$folder"
        check "$folder-setup" env CC="$compiler" meson setup "$work/$folder" $data "$@" || return 1
    fi
    check "$folder-build" ninja -C "$work/$folder"
}

# A program outside the tree, built with what pkg-config says, with either library.
installed() (
    prefix=$work/prefix
    rm -rf "$prefix"
    DESTDIR=$prefix meson install -C "$work/gcc" --no-rebuild --quiet || return 1
    pc=$(dirname "$(find "$prefix" -name mote.pc)")
    export PKG_CONFIG_SYSROOT_DIR="$prefix" PKG_CONFIG_PATH="$pc"
    libdir=${pc%/pkgconfig}
    cc examples/minimal.c -o "$prefix/minimal" $(pkg-config --cflags mote) \
        -L"$libdir" -lmote || return 1
    LD_LIBRARY_PATH=$libdir "$prefix/minimal" models/tiny-v3 'Once upon a time' || return 1
    cc examples/minimal.c -o "$prefix/minimal-static" $(pkg-config --cflags mote) \
        "$libdir/libmote.a" $(PKG_CONFIG_SYSROOT_DIR='' pkg-config --static --libs libpcre2-8 \
        jansson libzstd) -lm -pthread || return 1
    "$prefix/minimal-static" models/tiny-v3 'Once upon a time' || return 1
    # The Lua modules as installed: model from where mote.lua lies.
    for lua in lua5.1 lua5.4 luajit; do
        version=${lua#lua}
        [ "$lua" != luajit ] || version=5.1
        command -v "$lua" >/dev/null 2>&1 || continue
        at=$(find "$prefix" -path "*/share/lua/$version/mote.lua")
        [ -n "$at" ] || continue
        (cd / && LUA_PATH="${at%mote.lua}?.lua" LD_LIBRARY_PATH=$libdir \
            LUA_CPATH="${at%/share/*}/lib/lua/$version/?.so;${at%/share/*}/lib64/lua/$version/?.so" \
            "$lua" "$root/examples/story.lua" 'Once upon a time') || return 1
    done
    # The command finds library and model from where it lies.
    bin=$(find "$prefix" -path '*/bin/mote')
    (cd / && "$bin" run -p 'Once upon a time' --temp 0 -n 8 -q)
)

# A wheel, unpacked where nothing of the tree is in reach, writes a story.
wheel() {
    rm -rf "$work/wheel"
    mkdir -p "$work/wheel/site"
    (cd bindings/python && python3 -B -c 'import build_backend, sys
build_backend.build_wheel(sys.argv[1])' "$work/wheel") || return 1
    python3 -m zipfile -e "$work"/wheel/mote-*.whl "$work/wheel/site" || return 1
    (cd / && env -u MOTE_LIBRARY PYTHONPATH="$work/wheel/site" \
        python3 -B -m mote 'Once upon a time' --temp 0 -n 20) | grep 'Lily'
}

# The Lua module as LuaRocks builds it, with the library that installed() installed.
rock() {
    rm -rf "$work/rock"
    mkdir -p "$work/rock"
    cp -R bindings models "$work/rock" || return 1
    (cd "$work/rock" && luarocks --tree "$work/rock/tree" make bindings/lua/mote-0.1.0-1.rockspec) ||
        return 1
    pc=$(dirname "$(find "$work/prefix" -name mote.pc)")
    lua=$(luarocks config lua_interpreter)
    (cd / && eval "$(luarocks --tree "$work/rock/tree" path)" &&
        env -u MOTE_LIBRARY -u MOTE_MODEL LD_LIBRARY_PATH="${pc%/pkgconfig}" "$lua" -e \
            'for p in require "mote".open():session():generate("Once upon a time",
                { max_tokens = 20 }) do io.write(p.text) end') | grep 'Lily'
}

say 'dependencies'
check dependencies sh examples/dependencies.sh test || {
    echo "$passed passed, $failed failed, $skipped skipped"
    exit 1
}
data=
[ ! -d ../shared ] || data=-Dshared_data=$(cd ../shared && pwd)

# The machine itself.
own() {
    if build gcc "$(command -v gcc || echo cc)"; then
        run_tests gcc
        pace=$(($(date +%s) - started))
        say 'installing, and a program against the installed library'
        check installed installed
        say 'a Python wheel, and a rock'
        check wheel wheel
        if command -v luarocks >/dev/null 2>&1; then
            check rock rock
        else
            say 'no luarocks: skipped'
            skipped=$((skipped + 1))
        fi
        say 'static checks'
        check static sh tests/tools/static.sh "$work/gcc"
    fi
    # The bindings, the tools and where calls can fail are the same whoever compiled the
    # library.
    if command -v clang >/dev/null 2>&1; then
        build clang clang && run_tests clang --no-suite python --no-suite lua --no-suite doc \
            --no-suite cli --no-suite embedding --no-suite abi --no-suite faults
    else
        say 'no clang: skipped'
        skipped=$((skipped + 1))
    fi
    ! late 17 sanitizers || return
    # Sanitizers make the compiler warn of what is not there. Golden models take too long under
    # them, and the command; their code runs in the other suites.
    build sanitizers "$(command -v gcc || echo cc)" -Dbuildtype=debugoptimized \
        -Db_sanitize=address,undefined -Db_lundef=false -Dwerror=false &&
        run_tests sanitizers --timeout-multiplier 10 --suite unit --suite api --suite cli \
            --suite fuzz --no-suite command
}
[ -n "$machines" ] || own

# Other machines, each with a cross file in tests/cross/, their tests run by an emulator.
# cross NAME 'COMPILER OTHER COMMANDS' SUITE...
cross() {
    machine=$1
    needs=$2
    shift 2
    case " ${machines:-$machine} " in
    *" $machine "*) ;;
    *) return ;;
    esac
    for command in $needs; do
        # An emulator or loader that cannot run is as good as none.
        command -v "$command" >/dev/null 2>&1 && "$command" --version >/dev/null 2>&1 && continue
        say "no $command that runs: the tests for $machine skipped"
        skipped=$((skipped + 1))
        return
    done
    suites=
    for suite in "$@"; do suites="$suites --suite $suite"; done
    build "$machine" "${needs%% *}" --cross-file "tests/cross/$machine.ini" -Dshared_data= &&
        run_tests "$machine" --timeout-multiplier 10 $suites
}
export WINEDEBUG=-all WINEPREFIX="$work/wine"
if sh tests/cross/sources.sh >"$work/sources.log" 2>&1; then
    late 14 AArch64 || cross aarch64 'aarch64-linux-gnu-gcc qemu-aarch64' unit kernels
    # The others take longer than an ordinary run should: MOTE_CROSS=1 asks for them.
    if [ "$MOTE_CROSS" = 1 ]; then
        # The kernel of a 64-bit x86 machine runs these itself, where it has been built to.
        cross i686 'i686-linux-gnu-gcc /usr/i686-linux-gnu/lib/ld-linux.so.2' unit kernels \
            golden api cli
        cross windows 'x86_64-w64-mingw32-gcc-posix wine' unit kernels golden api cli
        cross wasm 'emcc node' unit kernels cli web
        cross armhf 'arm-linux-gnueabihf-gcc qemu-arm' unit kernels cli
    else
        say 'ARMv7, i686, Windows and WebAssembly: skipped without MOTE_CROSS=1'
        skipped=$((skipped + 4))
    fi
else
    say 'no sources of PCRE2, jansson and zstd for other machines: all skipped'
    tail -n 3 "$work/sources.log"
    skipped=$((skipped + 5))
fi

say 'done'
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
