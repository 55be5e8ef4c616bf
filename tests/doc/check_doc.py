#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Pages tell no tales: the index names every page, every relative link leads somewhere,
every function and constant of the library that a page names is declared, every file that
it names in the tree exists.

check_doc.py ROOT"""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1]).resolve()
headers = "".join(p.read_text() for p in sorted((root / "include/mote").glob("*.h")))
names = set(re.findall(r"\b(?:mote|MOTE)_\w+", headers))
# Names that belong to the build and to the environment, not to a header.
others = {"MOTE_LIBRARY", "MOTE_MODEL", "MOTE_DATADIR", "MOTE_SHARED", "MOTE_TEST_DATA", "mote_dep"}
problems = []
index = (root / "doc/index.md").read_text()
for page in sorted((root / "doc").glob("*.md")):
    if page.name != "index.md" and f"]({page.name})" not in index:
        problems.append(f"doc/index.md: no link to {page.name}")
for page in [root / "README.md", *sorted((root / "doc").glob("*.md"))]:
    text = page.read_text()
    where = page.relative_to(root)
    for link in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", text):
        if not re.match(r"[a-z]+:", link) and not (page.parent / link).exists():
            problems.append(f"{where}: link to {link}, which does not exist")
    for name in re.findall(r"`(mote_[a-z0-9_]+)\(\)", text):
        if name not in names and name.replace("mote__", "") == name:
            problems.append(f"{where}: {name}() is not declared")
    for name in re.findall(r"\b(MOTE_[A-Z0-9_]+[A-Z0-9])\b(?!_|\.\.\.|\*)", text):
        if name not in names | others and not any(
                path.suffix in (".c", ".h", ".def") and name in path.read_text()
                for folder in ("lib", "kernels") for path in (root / folder).rglob("*.*")):
            problems.append(f"{where}: {name} is not defined")
    for path in re.findall(r"`((?:lib|kernels|examples|tests|doc|include|models|bindings)/"
                           r"[\w./-]+)`", text):
        if not (root / path).exists():
            problems.append(f"{where}: {path} does not exist")
print("\n".join(problems) or "links, names and paths of the pages hold")
sys.exit(bool(problems))
