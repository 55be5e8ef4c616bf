#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Describe the public headers for the Lua binding.

describe.py INCLUDE_DIR              writes the table (mote/api.lua) to standard output
describe.py INCLUDE_DIR --check FILE fails when FILE is not what would be written
describe.py INCLUDE_DIR --layout     writes a C program that prints every struct's layout

The table says how each function is called from Lua: "bytes" is a pointer and a length made
from one string, "get_ids" a buffer, capacity and count that become one returned table, and
so on (src/core.h lists the kinds). A declaration that fits no rule stops this script, so
that nothing new is passed over in silence."""
import pathlib
import re
import sys

# In the order in which mote.h includes them. experimental.h stays out: it may change.
HEADERS = ["common", "version", "options", "tokenizer", "chat", "model", "sampler", "schema",
           "session", "pack"]
# Not called by name from Lua, and why.
SKIPPED = {
    "mote_options_set_text": "the binding sets options through it",
    "mote_session_next_batch": "arrays of structs; sessions are stepped one by one",
}
# Callbacks that arrive on the thread that made the call: only those may enter Lua.
CALLBACKS = {"mote_progress_fn"}
# Array members and the member that counts them.
COUNTS = {"text": "n_bytes", "tokens": "n_tokens", "logprobs": "n_tokens",
          "stop": "n_stop", "bias_tokens": "n_bias", "bias_values": "n_bias"}
SCALARS = {"int32_t": "i32", "uint32_t": "u32", "uint64_t": "u64", "float": "f32",
           "double": "f64", "size_t": "size", "mote_status": "i32"}


def fail(what):
    sys.exit(f"describe.py: no rule for {what}")


def split_type(declaration):
    """'const char *text' -> ('const char*', 'text'); arrays give a third part."""
    m = re.fullmatch(r"(.*?)(\w+)(?:\[(\d+)\])?", declaration.strip(), re.S)
    kind = re.sub(r"\s+", " ", m[1]).strip()
    return re.sub(r"\s*\*\s*", "*", kind), m[2], m[3]


class Headers:
    """What the headers declare."""

    def __init__(self, folder):
        raw = "\n".join((folder / "mote" / f"{name}.h").read_text() for name in HEADERS)
        raw = re.sub(r"\s*\\\n\s*", " ", raw)
        self.constants = [(m[1], int(m[2])) for m in re.finditer(
            r"^#define MOTE_(\w+)\s+\(?(-?\d+)u?\)?(?=\s|$)", raw, re.M)]
        self.option_kinds = {m[2]: int(m[1]) for m in re.finditer(
            r"^#define MOTE_OPTIONS_\w+ (\d+)\s*/\*\*< ::(\w+) \*/", raw, re.M)}
        text = re.sub(r"/\*.*?\*/", " ", raw, flags=re.S)
        text = re.sub(r"^#.*\n", "", text, flags=re.M)
        text = re.sub(r"\b(MOTE_BEGIN_DECLS|MOTE_END_DECLS|MOTE_API|extern \"C\" \{)", "", text)
        self.declarations = re.sub(r"[ \t]*\n\s*", "\n", text).strip()
        flat = re.sub(r"\s+", " ", text)
        self.callbacks = {m[2]: (m[1].strip(), m[3]) for m in re.finditer(
            r"typedef ([\w ]+\*?)\(\*(\w+)\)\(([^)]*)\);", flat)}
        self.opaque = re.findall(r"typedef struct (\w+) \1;", flat)
        self.structs = {m[1]: [split_type(d) for d in m[2].split(";") if d.strip()]
                        for m in re.finditer(r"typedef struct (\w+) \{(.*?)\} \1;", flat)}
        body = re.sub(r"typedef .*?(\{.*?\} \w+)?;", "", flat)
        self.functions = {}
        for m in re.finditer(r"([\w ]+?[ *]+)(mote_\w+)\(([^)]*)\);", body):
            parameters = [] if m[3].strip() == "void" else m[3].split(",")
            result = re.sub(r"\s*\*\s*", "*", m[1].strip())
            self.functions[m[2]] = (result, [split_type(p)[:2] for p in parameters])

    def member(self, struct, kind, name, count):
        """One line of a struct's description."""
        base = kind.replace("const ", "").rstrip("*")
        if name == "fingerprint":
            return f"hash {name}"
        if kind in SCALARS:
            return f"{SCALARS[kind]} {name}" + (f" {count}" if count else "")
        if kind == "char" and count:
            return f"char {name} {count}"
        if kind == "const char*":
            return f"bytes {name} {COUNTS[name]}" if name in COUNTS else f"string {name}"
        if kind in ("const int32_t*", "const float*", "const char*const*"):
            if name not in COUNTS:
                fail(f"{struct}.{name}: what counts it?")
            array = {"int32_t": "ids", "float": "floats"}.get(base, "strings")
            return f"{array} {name} {COUNTS[name]}"
        if kind in CALLBACKS:
            return f"callback {name}"
        if kind in self.callbacks or kind == "void*":
            return f"pointer {name}"
        if base in self.opaque:
            return f"handle:{base} {name}"
        return fail(f"member {kind} {struct}.{name}")

    def result(self, kind):
        """How a function's result comes back."""
        base = kind.replace("const ", "").rstrip("*")
        if kind == "mote_status":
            return "status"
        if kind in SCALARS:
            return SCALARS[kind]
        if kind == "void":
            return "void"
        if kind == "const char*":
            return "string"
        if kind.endswith("*") and base in self.opaque:
            return f"handle:{base}"
        return fail(f"result {kind}")

    def calling(self, name):
        """Result and parameters of a function, as Lua sees them."""
        kind, parameters = self.functions[name]
        out = [self.result(kind)]
        types = [p[0] for p in parameters]
        i = 0
        while i < len(types):
            t, rest = types[i], types[i + 1:]
            base = t.replace("const ", "").rstrip("*")
            step = 1
            if t in SCALARS:
                k = SCALARS[t]
            elif t in ("const char*", "const void*") and rest[:1] == ["size_t"]:
                k, step = "bytes", 2
            elif t == "const int32_t*" and rest[:1] == ["size_t"]:
                k, step = "ids", 2
            elif t in ("char*", "void*", "int32_t*") and rest[:2] == ["size_t", "size_t*"]:
                k, step = {"char*": "get_bytes", "void*": "get_blob"}.get(t, "get_ids"), 3
            elif t == "float*" and rest[:1] == ["size_t"]:
                k, step = "get_floats", 2
            elif t == "const char**" and rest[:1] == ["size_t*"]:
                k, step = "get_view", 2
            elif t == "size_t*" and out[0] == "string":
                k, out[0] = "length", "view"
            elif t in ("int32_t*", "uint64_t*"):
                k = "get_" + SCALARS[t[:-1]]
            elif t == "const char**":
                k = "get_string"
            elif t == "const char*":
                k = "string"
            elif t == "mote_error*":
                k = "err"
            elif t in CALLBACKS and rest[:1] == ["void*"]:
                k, step = "callback", 2
            elif t.endswith("**") and base in self.opaque:
                k = f"out:{base}"
            elif t.endswith("*") and base in self.opaque:
                k = f"handle:{base}"
            elif base in self.structs:
                k = ("options:" if t.startswith("const") else "fill:") + base
            else:
                fail(f"parameter {t} of {name}")
            out.append(k)
            i += step
        return out


def table(headers):
    """The text of mote/api.lua."""
    quoted = lambda words: ", ".join(f'"{w}"' for w in words)
    lines = ["-- SPDX-License-Identifier: MIT",
             "-- Made from include/mote by tools/describe.py: do not edit.", "return {",
             "  constants = {"]
    lines += [f"    {name} = {value}," for name, value in headers.constants]
    lines += ["  },", "  option_kinds = {"]
    lines += [f"    {name} = {value}," for name, value in headers.option_kinds.items()]
    lines += ["  },", f"  handles = {{{quoted(headers.opaque)}}},", "  structs = {"]
    for name, members in headers.structs.items():
        lines.append(f"    {name} = {{")
        lines += [f'      "{headers.member(name, *m)}",' for m in members]
        lines.append("    },")
    lines += ["  },", "  -- result, then parameters; what they mean: src/core.h",
              "  functions = {"]
    for name in headers.functions:
        if name not in SKIPPED:
            lines.append(f"    {name} = {{{quoted(headers.calling(name))}}},")
    lines += ["  },", "  -- the same declarations for LuaJIT", "  cdef = [[",
              headers.declarations, "]],", "}"]
    return "\n".join(lines) + "\n"


def layout(headers):
    """A C program: one line "struct member offset size" each, then the struct's size."""
    lines = ["/* SPDX-License-Identifier: MIT */", "#include <mote/mote.h>",
             "#include <stdio.h>", "int main(void)", "{"]
    for name, members in headers.structs.items():
        lines += [f'    printf("{name} {m} %zu %zu\\n", offsetof({name}, {m}), '
                  f"sizeof((({name} *)0)->{m}));" for _, m, _ in members]
        lines.append(f'    printf("{name} - 0 %zu\\n", sizeof({name}));')
    return "\n".join(lines + ["    return 0;", "}"]) + "\n"


def main():
    headers = Headers(pathlib.Path(sys.argv[1]))
    if sys.argv[2:3] == ["--layout"]:
        print(layout(headers), end="")
    elif sys.argv[2:3] == ["--check"]:
        if pathlib.Path(sys.argv[3]).read_text() != table(headers):
            sys.exit(f"{sys.argv[3]} is stale: make it again with\n  python3 "
                     "bindings/lua/tools/describe.py include > bindings/lua/mote/api.lua")
    else:
        print(table(headers), end="")


main()
