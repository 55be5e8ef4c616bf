#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What programs were compiled with, kept: the last release's headers, its ABI as abidw
describes it, and its options as text.

baseline.py check ROOT LIBRARY COMPILER...   compare; '-' for LIBRARY: headers only
baseline.py options ROOT LIBRARY             compare the options' names only
baseline.py write ROOT LIBRARY COMPILER...   make tests/abi/baseline-VERSION, on release

Compared are: every size, offset and constant of the old headers; every function with its
types, by abidiff where it is there; the symbol versions that the library exports; every option
with its name, type, range and choices. Things may be added, and structs that carry their
size may grow at the end. experimental.h is left out."""
import ctypes
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import layout  # noqa: E402

# Option structs and those that the library fills: both sides look at struct_size.
SUPPRESSIONS = r"""
[suppress_type]
  label = structs that carry their size may grow at the end
  type_kind = struct
  name_regexp = ^mote_(.*_options|.*_info|.*_stats|piece)$
  has_data_member_inserted_at = end
  has_size_change = yes
"""


def stub(include, out, compiler):
    """A library with every declared function and no body, with debug information."""
    text = layout.without_comments(include, ["experimental.h"])
    functions = re.findall(r"^MOTE_API ([^;]*);", text, flags=re.M | re.S)
    source = "#include <mote/mote.h>\n" + "".join(
        f"MOTE_API {f}\n{{\n    __builtin_trap();\n}}\n" for f in functions)
    # The same file name in every version: it is part of what abidw writes.
    r = subprocess.run([*compiler, "-g", "-O0", "-shared", "-fPIC", "-w", "-I", include, "-x", "c",
                        "-", "-Wl,-soname,libmote.so", "-o", out],
                       input=source, text=True, capture_output=True, check=False)
    if r.returncode:
        raise SystemExit("the headers do not compile:\n" + r.stderr)
    return len(functions)


def options_text(library):
    """Every option that text can set, one line each."""
    lib = ctypes.CDLL(str(library))
    describe = lib.mote_options_describe
    describe.argtypes = [ctypes.c_int32, ctypes.c_uint32] + 4 * [
        ctypes.POINTER(ctypes.c_char_p)] + [ctypes.c_void_p]
    lines = []
    for kind, name in enumerate(("model", "session", "sampler", "generate", "pack"), 1):
        for index in range(1000):
            out = [ctypes.c_char_p() for _ in range(4)]
            if describe(kind, index, *(ctypes.byref(o) for o in out), None) != 0:
                break
            lines.append(f"{name} " + " | ".join(o.value.decode() for o in out[:3]))
    return lines


def exported(library):
    """name@@VERSION of the functions that the library exports."""
    r = subprocess.run(["nm", "-D", "--defined-only", "--with-symbol-versions", library],
                       capture_output=True, text=True, check=True)
    return sorted(re.findall(r" T (mote_(?!x_)\S+)", r.stdout))


def compare_options(old, new):
    """What of the old options is gone or narrower."""
    new = {tuple(line.split(" | ")[:2]): line.split(" | ")[2] for line in new}
    for line in old:
        name, kind, values = line.split(" | ")
        found = new.get((name, kind))
        if found is None:
            yield f"option {name} ({kind}) is gone or has another type"
            continue
        for choice in re.findall(r"[\w.]+(?:=\d+)?", values if " to " not in values else ""):
            if choice not in re.findall(r"[\w.]+(?:=\d+)?", found):
                yield f"option {name}: '{choice}' is gone"
        numbers = [re.search(r"^(-?[\d.]+f?) to (-?[\d.]+)", v) for v in (values, found)]
        if numbers[0] and not (numbers[1] and float(numbers[1][1]) <= float(numbers[0][1])
                               and float(numbers[1][2]) >= float(numbers[0][2])):
            yield f"option {name}: '{values}' became '{found}'"


def write(root, library, compiler):
    version = layout.version(root / "include")
    folder = root / f"tests/abi/baseline-{version}"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "include/mote").mkdir(parents=True)
    for h in sorted((root / "include/mote").glob("*.h")):
        if h.name != "experimental.h":
            text = re.sub(r"/\*.*?\*/", "", h.read_text(), flags=re.S)
            text = re.sub(r"[ \t]+$", "", text, flags=re.M)
            text = "/* SPDX-License-Identifier: MIT */\n" + re.sub(r"\n\s*\n+", "\n", text).strip()
            (folder / "include/mote" / h.name).write_text(text + "\n")
    stub(folder / "include", folder / "libmote.so", compiler)
    subprocess.run(["abidw", "--no-corpus-path", "--no-comp-dir-path", "--no-show-locs",
                    "--out-file", folder / "mote.abi", folder / "libmote.so"], check=True)
    (folder / "libmote.so").unlink()
    (folder / "options.txt").write_text("\n".join(options_text(library)) + "\n")
    (folder / "exports.txt").write_text("\n".join(exported(library)) + "\n")
    print(f"wrote {folder}")


def newest(root):
    """The baseline of the last release."""
    return max((root / "tests/abi").glob("baseline-*"),
               key=lambda p: [int(n) for n in p.name[9:].split(".")])


def check_options(root, library, _compiler):
    """Compare the options' names only."""
    problems = list(compare_options((newest(root) / "options.txt").read_text().splitlines(),
                                    options_text(library)))
    print("\n".join(problems) or "options: as before, or more")
    return bool(problems)


def check(root, library, compiler):
    """Compare everything."""
    folder = newest(root)
    problems = []
    names = layout.entries(folder / "include")
    compared = 0
    for bits in (64, 32):
        old = layout.compiled(folder / "include", names, compiler, bits)
        if old is None:
            print(f"{bits} bits: not possible with {compiler}")
            continue
        new = layout.compiled(root / "include", names, compiler, bits)
        if new is None:
            problems.append(f"{bits} bits: a struct, member or constant of the old headers is gone")
            continue
        struct = ""
        for (label, values), a, b in zip(names, old, new):
            struct = label if values[0].startswith("sizeof(") else struct
            grows = values[0].startswith("sizeof(") and label != "mote_error"
            if a != b and not (grows and int(a.split()[1]) <= int(b.split()[1])):
                problems.append(f"{bits} bits: {struct}: '{a.strip()}' became '{b.strip()}'")
        compared += len(names)
    # abidiff is told to look away where a struct grew, and so does not see this.
    types = layout.member_types(root / "include")
    for (struct, member), kind in layout.member_types(folder / "include").items():
        if types.get((struct, member), kind) != kind:
            problems.append(f"{struct}.{member}: '{kind}' became '{types[struct, member]}'")
    print(f"{compared} sizes, offsets and constants compared")
    if shutil.which("abidiff"):
        with tempfile.TemporaryDirectory() as work:
            work = pathlib.Path(work)
            count = stub(root / "include", work / "libmote.so", compiler)
            (work / "suppressions").write_text(SUPPRESSIONS)
            r = subprocess.run(["abidiff", "--no-default-suppression", "--no-added-syms", "--no-architecture",
                                "--suppressions", work / "suppressions", folder / "mote.abi",
                                work / "libmote.so"], capture_output=True, text=True, check=False)
        print(f"abidiff: {count} functions")
        if r.returncode:
            problems.append(r.stdout + r.stderr)
    else:
        print("abidiff: not there (package abigail-tools): skipped")
    if library != "-":
        gone = set((folder / "exports.txt").read_text().split()) - set(exported(library))
        problems += [f"{name} is not exported any more" for name in sorted(gone)]
        problems += compare_options((folder / "options.txt").read_text().splitlines(),
                                    options_text(library))
    print("\n".join(problems) or f"programs of {folder.name} keep running")
    return 1 if problems else 0 if compared else 77


if __name__ == "__main__":
    action, root, library, *compiler = sys.argv[1:]
    root = pathlib.Path(root).resolve()
    sys.exit({"check": check, "options": check_options, "write": write}[action](
        root, library if library == "-" else pathlib.Path(library).resolve(), compiler))
