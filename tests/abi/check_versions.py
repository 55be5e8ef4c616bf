#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Versions of the library and of programs, each with each.

check_versions.py ROOT OUT LIBRARY KERNELS,... SOURCES,... ARGUMENTS,... COMPILER...

 1. A program compiled with the stored baseline's headers prints the same with this library
    and with a made-up later one.
 2. A program compiled with that later header runs with this library as long as it asks for
    nothing new, and otherwise gets a refusal with a sentence: from the library for an
    option, from the loader for a function or another ABI.
 3. Two libraries in one process do not meet."""
import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import baseline as stored  # noqa: E402
import make_next  # noqa: E402

root, out, library = (pathlib.Path(a).resolve() for a in sys.argv[1:4])
kernels, sources, arguments = (a.split(",") for a in sys.argv[4:7])
compiler = sys.argv[7:]
tests = root / "tests/abi"
baseline = stored.newest(root)
model = root / "models/tiny-v3"
problems = 0


def expect(condition, what, detail=""):
    global problems
    print(("ok: " if condition else "FAILED: ") + what)
    if not condition:
        problems += 1
        print(detail)


def compiled(name, source, include, *more):
    program = out / name
    subprocess.run([*compiler, "-std=gnu11", "-Wall", "-I", include, tests / source, "-o", program,
                    *more], check=True)
    return program


def run(program, folder, *arguments, **environment):
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False,
                          env={**os.environ, "LD_LIBRARY_PATH": str(folder), **environment})


if not shutil.which("pkg-config"):
    print("no pkg-config: skipped")
    sys.exit(77)
grown = make_next.headers(root, out)
expect(len(grown) >= 9, f"{len(grown)} structs grow", grown)
minor, other = make_next.build(root, out, compiler, arguments, sources, kernels)
now = out / "now" / "libmote.so.0"
now.parent.mkdir()
now.symlink_to(library)

# 1. and 2.
old = compiled("old", "program.c", baseline / "include", now)
new = compiled("new", "program.c", out / "include", minor, "-DNEXT=1")
asks = compiled("asks", "program.c", out / "include", minor, "-DNEXT=2", "-Wl,-z,now")
other_abi = compiled("other-abi", "program.c", out / "include", other, "-DNEXT=1")

reference = run(old, now.parent, model)
expect(reference.returncode == 0 and "tokens" in reference.stdout and not reference.stderr,
       f"a program of {baseline.name} with this library", reference)
print("    " + reference.stdout.replace("\n", "\n    "))
for what, program, where in (("the old program with a later library", old, minor),
                             ("a later program with the later library", new, minor),
                             ("a later program with this library", new, now)):
    r = run(program, where.parent, model)
    # What is too large is told with this library's bounds, which may have grown.
    expect(r.returncode == 0 and r.stdout == reference.stdout, what, r)
    if where is now:
        expect(re.search(r"made for mote 0\.2 or later, and runs with 0\.\d", r.stderr),
               "it can tell that the library is older", r)
r = run(new, now.parent, model, "tails")
print("    " + r.stdout.replace("\n", "\n    "))
for kind in ("model", "session", "sampler", "generate", "pack"):
    expect(re.search(rf"^{kind}: MOTE_E_INVALID: mote_{kind}_options: the caller sets an option "
                     r"at byte \d+ that this library does not have; a later version is needed$",
                     r.stdout, flags=re.M), f"a new {kind} option is refused", r)
expect("text: MOTE_E_NOT_FOUND: mote_model_options: no option 'next_option'" in r.stdout,
       "a new option as text is refused", r)
r = run(new, minor.parent, model, "tails")
expect(r.stdout.count(": MOTE_OK") == 5 and "later version" not in r.stdout,
       "the later library takes them", r)
r = run(asks, now.parent, model)
expect(r.returncode != 0 and re.search("MOTE_0.2.*not found|mote_next_function", r.stderr),
       "the loader names what this library lacks: " + r.stderr.strip(), r)
expect("next: 42" in run(asks, minor.parent, model).stdout, "the later library has it")
r = run(other_abi, now.parent, model)
expect(r.returncode != 0 and other.name in r.stderr,
       "the loader refuses another ABI: " + r.stderr.strip(), r)

# 3.
two = compiled("two", "two_versions.c", root / "include", "-rdynamic", "-ldl")
same = out / "same" / "libmote.so.0"  # this very library, from elsewhere
same.parent.mkdir()
shutil.copy(library, same)
for x, y in ((library, minor), (minor, library), (library, other), (other, library),
             (library, same)):
    for flags in ("LL", "LG", "GL", "GG"):
        log = out / "bindings"
        for old_log in out.glob("bindings.*"):
            old_log.unlink()
        r = run(two, "", model, x, y, flags, tests / "symbols.txt",
                LD_DEBUG="bindings", LD_DEBUG_OUTPUT=str(log))
        # What the loader bound, in its own words.
        crossed = []
        for path in out.glob("bindings.*"):
            for line in path.read_text(errors="replace").splitlines():
                m = re.search(r"binding file (\S+) \[\d+\] to (\S+) \[\d+\]: .*`(mote_\w+)'", line)
                # dlsym() shows as the library binding to itself
                if m and os.path.realpath(m[1]) != os.path.realpath(m[2]):
                    if "libmote" in m[1]:
                        crossed.append(m[0])
        what = f"{x.parent.name} and {y.parent.name}, {flags}"
        expect(r.returncode == 0 and not crossed, f"{what}: {r.stdout.strip()[:60]}",
               [r, crossed[:3]])
sys.exit(problems > 0)
