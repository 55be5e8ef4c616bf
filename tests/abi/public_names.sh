#!/bin/sh
# SPDX-License-Identifier: MIT
# Print the functions that the public headers declare, sorted: public_names.sh INCLUDE_DIR
set -eu
cat "$1"/mote/*.h | grep -v '^[[:space:]]*#' | tr '\n' ' ' |
    grep -o 'MOTE_API [^;]*;' | sed 's/^MOTE_API [^(]*[ *]\(mote_[a-z0-9_]*\)(.*$/\1/' |
    LC_ALL=C sort
