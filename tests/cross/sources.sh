#!/bin/sh
# SPDX-License-Identifier: MIT
# sources.sh: put the sources of PCRE2, jansson, zstd and cmocka into subprojects/, for
# targets to which the distribution has no packages of them (Windows, WebAssembly, other
# processors). Where git reaches their homes, `meson subprojects download` does the same;
# this takes the distribution's own source packages, through apt and its signatures,
# without a change to the system's settings. Nothing of it is committed.
set -eu
cd "$(dirname "$0")/../../subprojects"
names='pcre2 jansson zstd cmocka'

complete() {
    for name in $names; do
        [ -f "$name/meson.build" ] || return 1
    done
}
if complete; then
    exit 0
fi
command -v apt-get >/dev/null 2>&1 && command -v dpkg-source >/dev/null 2>&1 || {
    echo 'sources.sh: no apt-get and dpkg-source here: please run meson subprojects download' >&2
    exit 1
}

work=$PWD/.sources
rm -rf "$work"
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
trap 'rm -rf "$work"' EXIT
# The places that the system takes its packages from, for their sources.
apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT) $(TRUSTED)' \
    'Identifier: Packages' | sort -u | while read -r uri suite component _; do
    echo "deb-src $uri $suite $component"
done >"$work/sources.list"
keys=$(sed -n 's/^Signed-By: *//p' /etc/apt/sources.list.d/*.sources 2>/dev/null | head -n 1)
[ -z "$keys" ] || sed -i "s|^deb-src |deb-src [signed-by=$keys] |" "$work/sources.list"
apt() {
    apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" \
        -o APT::Sandbox::User=root "$@"
}
apt update
suites=$(awk '{print $(NF - 1)}' "$work/sources.list" | sort -u)
# The newest version, or, where a mirror lists one that it lacks, another suite's.
download() {
    apt source --download-only "$1" && return 0
    for suite in $suites; do
        rm -f "$1"_*
        apt source --download-only "$1/$suite" && return 0
    done
    return 1
}
for name in $names; do
    [ ! -f "$name/meson.build" ] || continue
    package=$name
    [ "$name" != zstd ] || package=libzstd
    (cd "$work" && download "$package" &&
        dpkg-source -q --no-check --extract "$package"_*.dsc "$name.tmp") >&2
    rm -rf "$name"
    # The description last: what has one is complete.
    version=$(sed -n 's/^Version: *\([0-9]*:\)\{0,1\}\([0-9.]*\).*/\2/p' "$work/$package"_*.dsc | head -n 1)
    mv "$work/$name.tmp" "$name"
    sed "s/version: '[0-9][0-9.]*', license/version: '$version', license/" \
        "packagefiles/$name/meson.build" >"$name/meson.build.tmp"
    mv "$name/meson.build.tmp" "$name/meson.build"
    echo "subprojects/$name: $version" >&2
done
