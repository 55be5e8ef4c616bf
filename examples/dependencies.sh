#!/bin/sh
# SPDX-License-Identifier: MIT
# dependencies.sh [build|test]: install what is missing to build mote, or also to test it,
# with the system's package manager. Does nothing where everything is there.
set -eu
what=${1:-build}
# A cross compiler and an emulator, for tests on AArch64. With MOTE_CROSS=1, those of the
# other machines too, a browser, and what the desktop example needs: gigabytes.
others='aarch64-linux-gnu-gcc qemu-aarch64 dpkg-source'
[ "${MOTE_CROSS:-0}" != 1 ] || others="$others arm-linux-gnueabihf-gcc i686-linux-gnu-gcc
    x86_64-w64-mingw32-gcc-posix wine emcc chromium xvfb-run"

have() { command -v "$1" >/dev/null 2>&1; }
library() { have pkg-config && pkg-config --exists "$@" 2>/dev/null; }

missing() {
    { have cc || have gcc || have clang; } || return 0
    have ninja || return 0
    have meson || return 0
    library libpcre2-8 jansson libzstd || return 0
    [ "$what" = test ] || return 1
    library cmocka || return 0
    have g++ || return 0
    have python3 || return 0
    # Extras, where the system has packages for them.
    have apt-get || return 1
    { have clang && have doxygen && have abidiff && have pytest-3 && have mypy &&
        have cppcheck && have clang-tidy; } || return 0
    { have lua5.1 && have lua5.4 && have luajit && have luarocks && library libffi lua5.1 lua5.4; } || return 0
    [ "$(uname -m)" != x86_64 ] || for command in $others; do
        have "$command" || return 0
    done
    return 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        echo "dependencies.sh: not root, and no sudo: please run as root: $*" >&2
        return 1
    fi
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$@"
}

install_missing() {
    if have apt-get; then
        packages='gcc libc6-dev meson ninja-build pkg-config libpcre2-dev libjansson-dev libzstd-dev'
        [ "$what" = build ] || packages="$packages g++ libcmocka-dev python3 binutils"
        as_root apt-get update -qq || true
        apt_install $packages || return 1
        [ "$what" = test ] || return 0
        apt_install clang doxygen abigail-tools python3-pytest mypy cppcheck clang-tidy || true
        apt_install libffi-dev lua5.1 liblua5.1-0-dev lua5.4 liblua5.4-dev luajit luarocks || true
        apt_install lua5.2 liblua5.2-dev lua5.3 liblua5.3-dev || true
        [ "$(uname -m)" != x86_64 ] ||
            apt_install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user dpkg-dev || true
        [ "$(uname -m)" != x86_64 ] || [ "${MOTE_CROSS:-0}" != 1 ] ||
            for packages in \
                'gcc-arm-linux-gnueabihf libc6-dev-armhf-cross' \
                'gcc-i686-linux-gnu libc6-dev-i386-cross' \
                'gcc-mingw-w64-x86-64 wine64 wine' 'emscripten' 'chromium' \
                'libgtk-4-dev xvfb xauth fonts-dejavu-core'; do
                apt_install $packages || true
            done
    elif have dnf; then
        packages='gcc meson ninja-build pkgconf-pkg-config pcre2-devel jansson-devel libzstd-devel'
        [ "$what" = build ] || packages="$packages gcc-c++ clang libcmocka-devel python3 binutils"
        as_root dnf install -y -q $packages
    elif have apk; then
        packages='gcc musl-dev meson ninja pkgconf pcre2-dev jansson-dev zstd-dev'
        [ "$what" = build ] || packages="$packages g++ clang cmocka-dev python3 binutils"
        as_root apk add -q $packages
    elif have pacman; then
        packages='gcc meson ninja pkgconf pcre2 jansson zstd'
        [ "$what" = build ] || packages="$packages clang cmocka python binutils"
        as_root pacman -S --needed --noconfirm $packages
    elif have brew; then
        packages='meson ninja pkg-config pcre2 jansson zstd'
        [ "$what" = build ] || packages="$packages cmocka python3"
        brew install -q $packages
    else
        echo "dependencies.sh: no known package manager. mote needs a C compiler, meson" \
            "(1.0 or newer), ninja, pkg-config, PCRE2, jansson and zstd" >&2
        return 1
    fi
}

if missing; then
    echo "installing what is missing to $what mote" >&2
    # Some distributions lack an extra: what matters is checked after.
    install_missing >&2 || true
    if what=build missing; then
        echo "dependencies.sh: something that mote needs could not be installed" >&2
        exit 1
    fi
fi
case $(meson --version) in
0.*)
    echo "dependencies.sh: meson $(meson --version) is older than 1.0: please install a" \
        "newer one, for example with: pipx install meson" >&2
    exit 1
    ;;
esac
