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
others = {"MOTE_CROSS", "MOTE_HOSTILE_ALL", "MOTE_LIBRARY", "MOTE_MODEL", "MOTE_DATADIR", "MOTE_SHARED", "MOTE_TEST_DATA", "mote_dep"}
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
# "Where is equation 13?": every name in a row stands in a file that the row names, and the
# equations come without a gap up to the losses of training.
page = root / "doc/how-v3-works.md"
equations = set()
for row in re.findall(r"^\| (.*) \|$", page.read_text(), flags=re.M)[1:]:
    cells = row.split(" | ")
    if set(row) <= set("-|"):
        continue
    files = re.findall(r"`([\w/]+\.[ch])`", cells[2])
    sources = "".join((root / f).read_text() for f in files if (root / f).exists())
    if not files:
        problems.append(f"doc/how-v3-works.md: no file in the row of {cells[0]}")
    for name in re.findall(r"`(\w+)`", cells[2]):
        if not re.search(rf"\b{name}\b", sources):
            problems.append(f"doc/how-v3-works.md: {name} is not in {', '.join(files)}")
    if "V2" not in cells[0]:
        for first, last in re.findall(r"eq\. (\d+)(?: to (\d+))?", cells[0]):
            equations |= set(range(int(first), int(last or first) + 1))
if equations != set(range(1, 17)) | {21, 22, 23}:
    problems.append(f"doc/how-v3-works.md: equations {sorted(equations)}")
# The program on the page for Python is the example that the tests run, to the letter.
block = re.search(r"```python\n(.*?)```", (root / "doc/getting-started-python.md").read_text(), re.S)[1]
example = [" ".join(line.split()) for line in (root / "examples/story.py").read_text().splitlines()]
for line in block.splitlines():
    if " ".join(line.split()) not in example:
        problems.append(f"doc/getting-started-python.md: '{line}' is not in examples/story.py")
print("\n".join(problems) or "links, names and paths of the pages hold")
sys.exit(bool(problems))
