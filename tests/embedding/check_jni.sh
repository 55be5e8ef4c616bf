#!/bin/sh
# SPDX-License-Identifier: MIT
# check_jni.sh ROOT LIBRARY CLASSES MODEL: the library exports what Java calls and nothing
# else, needs no libmote.so, and writes stories from Java, opened by path and descriptor.
set -eu
root=$1
library=$2
classes=$3
model=$4
exported=$(nm -D --defined-only "$library" | awk '{print $NF}' | sort)
wanted=$(sed -n 's/.*\(Java_org_mote_[A-Za-z_]*\)(.*/\1/p' "$root/examples/android/story_jni.c" | sort)
[ "$exported" = "$wanted" ] || {
    printf 'exported:\n%s\nwanted:\n%s\n' "$exported" "$wanted"
    exit 1
}
if objdump -p "$library" | grep 'NEEDED.*libmote'; then
    echo 'the library is not inside'
    exit 1
fi
mkdir -p "$classes"
javac -d "$classes" "$root/examples/android/org/mote/Story.java"
java -Xcheck:jni --add-opens java.base/java.io=ALL-UNNAMED -cp "$classes" \
    -Djava.library.path="$(dirname "$library")" org.mote.Story "$root/models/tiny-v3" "$model"
