#!/bin/sh
# SPDX-License-Identifier: MIT
# check_module.sh ROOT CLANG: with the module map beside the installed headers, an importing
# file compiles and sees types, functions and constants.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$1/examples/ios/module.modulemap" "$work/"
cp -R "$1/include/mote" "$work/mote"
cat >"$work/import.m" <<'EOF'
@import Mote;
mote_status check(mote_session *s, mote_piece *p, mote_error *e);
mote_status check(mote_session *s, mote_piece *p, mote_error *e)
{
    return mote_session_next(s, p, e) == MOTE_OK ? MOTE_DONE : MOTE_E_CANCELLED;
}
EOF
"$2" -fsyntax-only -Wall -Wextra -Werror -fmodules -fmodules-cache-path="$work/cache" \
    -I"$work" "$work/import.m"
# Without the import there is nothing to see.
sed -i.bak 1d "$work/import.m"
if "$2" -fsyntax-only -fmodules -I"$work" "$work/import.m" 2>/dev/null; then
    echo 'this test tests nothing'
    exit 1
fi
