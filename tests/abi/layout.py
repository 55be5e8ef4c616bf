# SPDX-License-Identifier: MIT
"""Reads sizes, offsets and constants out of headers with the help of a compiler."""
import re
import subprocess

# The bias keeps every number positive and its spelling in the assembly predictable.
BIAS = 1000000


def without_comments(include, leave_out=()):
    """The text of all headers."""
    text = "\n".join(h.read_text() for h in sorted((include / "mote").glob("*.h"))
                     if h.name not in leave_out)
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    return re.sub(r"[ \t]*\\\n[ \t]*", " ", text)


def version(include):
    """"0.1.0"."""
    text = without_comments(include)
    return ".".join(re.search(rf"MOTE_VERSION_{n} (\d+)", text)[1]
                    for n in ("MAJOR", "MINOR", "PATCH"))


def entries(include):
    """Each entry: what is printed before its numbers, and the numbers as C expressions."""
    text = without_comments(include)
    found = []
    for name, body in re.findall(r"typedef struct (mote_\w+) \{(.*?)\} \1;", text, flags=re.S):
        found.append((name, [f"sizeof({name})"]))
        for field in filter(None, (f.strip() for f in body.split(";"))):
            for part in field.split(","):
                member = re.search(r"(\w+)(?:\[[^\]]*\])?$", part.strip())[1]
                found.append((f"  {member}", [f"offsetof({name}, {member})",
                                              f"sizeof((({name} *)0)->{member})"]))
    for name in re.findall(r"^#define (MOTE_\w+)[ \t]+\(?-?\d+u?\)?[ \t]*$", text, flags=re.M):
        if not name.startswith("MOTE_VERSION_"):
            found.append((name, [name]))
    return found


def member_types(include):
    """(struct, member) -> the type it is declared with."""
    found = {}
    text = without_comments(include)
    for name, body in re.findall(r"typedef struct (mote_\w+) \{(.*?)\} \1;", text, flags=re.S):
        for field in filter(None, (" ".join(f.split()) for f in body.split(";"))):
            kind, member, array = re.fullmatch(r"(.*?)(\w+)((?:\[[^\]]*\])?)", field).groups()
            found[name, member] = kind.strip() + array
    return found


def compiled(include, names, compiler, bits):
    """The entries' lines for a word size, or None where the compiler cannot. A table that
    is compiled and never run, so that 32 bits need no 32-bit system."""
    table = ",\n".join(f"(int)({BIAS} + (int)({e}))" for _, values in names for e in values)
    extra = "#include <mote/experimental.h>\n" if (include / "mote/experimental.h").exists() else ""
    source = (f"#include <mote/mote.h>\n{extra}#include <stddef.h>\n"
              f"const int layout[] = {{\n{table}}};\n")
    r = subprocess.run([*compiler, f"-m{bits}", "-ffreestanding", "-I", include,
                        "-x", "c", "-S", "-o", "-", "-"], input=source, text=True,
                       capture_output=True, check=False)
    numbers = [int(n) - BIAS for n in re.findall(r"^\s+\.long\s+(\d+)", r.stdout, flags=re.M)]
    if r.returncode or len(numbers) != sum(len(values) for _, values in names):
        return None
    numbers = iter(numbers)
    return ["".join([label, *(f" {next(numbers)}" for _ in values)]) for label, values in names]
