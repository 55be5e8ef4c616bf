# SPDX-License-Identifier: MIT
"""check_size.py LIBRARY STRIP KERNEL-ARCHIVE...: what the library takes, stripped.

Prints the size of the stripped file, what its sections sum up to, and how much of that are
the variants of the kernels for newer processors (each archive given; the portable kernels
count as core). Fails when the core, or all of it, is larger than doc/platforms.md says."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

CORE_MAX = 600_000
ALL_MAX = 950_000


def sections(path):
    text = subprocess.run(['size', '-A', path], check=True, capture_output=True,
                          text=True).stdout
    return {m[1]: int(m[2]) for m in re.finditer(r'^(\.\S+)\s+(\d+)\s', text, re.M)}


def loaded(path):
    """Bytes of code and constants in each object of an archive."""
    text = subprocess.run(['size', path], check=True, capture_output=True, text=True).stdout
    return sum(int(line.split()[0]) + int(line.split()[1])
               for line in text.splitlines()[1:])


library, strip, archives = sys.argv[1], sys.argv[2], sys.argv[3:]
with tempfile.TemporaryDirectory() as work:
    copy = os.path.join(work, 'stripped')
    shutil.copyfile(library, copy)
    subprocess.run([strip, '--strip-all', copy], check=True)
    size = os.path.getsize(copy)
    for name, n in sorted(sections(copy).items(), key=lambda s: -s[1])[:6]:
        print('%9d  %s' % (n, name))
variants = {os.path.basename(a): loaded(a) for a in archives}
for name, n in variants.items():
    print('%9d  %s' % (n, name))
core = size - sum(variants.values())
print('%9d  stripped, all of it (at most %d)' % (size, ALL_MAX))
print('%9d  without the variants above: the core (at most %d)' % (core, CORE_MAX))
sys.exit(core > CORE_MAX or size > ALL_MAX)
