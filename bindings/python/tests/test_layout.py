# SPDX-License-Identifier: MIT
"""Structs and constants here are those of the headers: a C program says what they are."""

import ctypes
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mote import _native, errors

ROOT = Path(__file__).resolve().parents[3]
HEADERS = sorted((ROOT / "include" / "mote").glob("*.h"))


def headers_text():
    return "\n".join(h.read_text() for h in HEADERS if h.name != "experimental.h")


@pytest.mark.skipif(not shutil.which(os.environ.get("CC", "cc")), reason="no C compiler")
def test_every_offset(tmp_path):
    lines = ["#include <stdio.h>", "#include <stddef.h>", "#include <mote/mote.h>",
             "int main(void) {"]
    for name, cls in _native.STRUCTS.items():
        lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
        for field, *_ in cls._fields_:
            lines.append(f'printf("{name}.{field} %zu\\n", offsetof({name}, {field}));')
    lines.append("return 0; }")
    source = tmp_path / "layout.c"
    source.write_text("\n".join(lines))
    subprocess.run([os.environ.get("CC", "cc"), "-I", ROOT / "include", source, "-o",
                    tmp_path / "layout"], check=True)
    out = subprocess.run([tmp_path / "layout"], check=True, capture_output=True, text=True)
    for line in out.stdout.splitlines():
        name, number = line.split()
        struct, _, field = name.partition(".")
        cls = _native.STRUCTS[struct]
        mine = getattr(cls, field).offset if field else ctypes.sizeof(cls)
        assert mine == int(number), name


def test_every_member_is_known():
    text = headers_text()
    for name, cls in _native.STRUCTS.items():
        body = re.search(r"typedef struct %s \{(.*?)\n\} %s;" % (name, name), text, re.S)
        code = re.sub(r"/\*.*?\*/", "", body.group(1), flags=re.S)
        members = re.findall(r"(\w+)(?:\[\d+\])?;", code)
        assert members == [f for f, *_ in cls._fields_], name


def test_status_values():
    found = dict(re.findall(r"#define MOTE_(E_\w+) \((-\d+)\)", headers_text()))
    assert len(found) == 11
    for name, value in found.items():
        assert getattr(_native, name) == int(value)
        assert errors.BY_STATUS[int(value)].status == int(value)


def test_functions_are_exported():
    exported = set((ROOT / "tests" / "abi" / "symbols.txt").read_text().split())
    assert set(_native.FUNCTIONS) <= exported
