#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The C and Lua on the pages is run, block by block, with the bundled model.

check_snippets.py ROOT LIBRARY CC [LUA LUA_CPATH]
Names that a page takes for granted (model, session, prompt ...) are made before each block;
its paths and its context length become the bundled model's."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

root, library = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
compiler, lua = sys.argv[3], sys.argv[4:6]
model = root / "models/tiny-v3"
pages = [root / "README.md", *sorted((root / "doc").glob("*.md"))]


def blocks(language, names=None):
    for page in pages:
        if names and page.name not in names:
            continue
        for block in re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.S | re.M):
            yield page.relative_to(root), block


def run(command, what, **kw):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, **kw)
    if done.returncode:
        sys.exit(f"{what}: {' '.join(map(str, command))}\n{done.stdout}")
    return done.stdout


def c_function(number, block):
    block = block.replace('"path/to/checkpoint"', "path").replace("8192", "256")
    opens = "mote_model_open" in block
    own = re.findall(r"^mote_\w+ (\w+)(?: =|;)", block, re.M)
    given = {"err": "mote_error err = {0};", "model": "mote_model *model = NULL;",
             "session": "mote_session *session = NULL;",
             "piece": "mote_piece piece = MOTE_PIECE_INIT;",
             "options": "mote_generate_options options = MOTE_GENERATE_OPTIONS_INIT;"}
    return "\n".join([
        f"static int block_{number}(const char *path)", "{",
        '    const char *text = "Once upon a time"; int32_t tokens[256]; size_t n = 0;',
        *(line for name, line in given.items() if name not in own),
        "    (void)text, (void)tokens, (void)n;",
        *(f"    (void){name};" for name in ("piece", "options") if name not in own),
        "" if opens else "    if (mote_model_open(&model, path, NULL, &err) < 0) return 1;",
        "    options.max_tokens = 20;" if "options" not in own else "",
        block,
        "    mote_session_close(session); mote_model_close(model);",
        "    return err.status < 0;" if re.search(r"&err\)", block) else "    return 0;", "}"])


def check_c(folder):
    found = list(blocks("c"))
    source = ["#include <mote/mote.h>", "#include <stdio.h>", "#include <string.h>"]
    source += [c_function(i, block) for i, (_, block) in enumerate(found)]
    source += ["int main(int argc, char **argv)", "{", "    (void)argc;"]
    source += [f'    if (block_{i}(argv[1])) {{ puts("block {i}, {page}, failed"); return 1; }}'
               for i, (page, _) in enumerate(found)]
    source += ["    return 0;", "}", ""]
    (folder / "blocks.c").write_text("\n".join(source))
    program = folder / "blocks"
    run([*compiler.split(), "-std=c11", "-Wall", "-Wextra", "-Werror",
         "-Wno-misleading-indentation", "-Wno-unused-but-set-variable", f"-I{root}/include",
         str(folder / "blocks.c"), "-o", str(program), str(library)], "C")
    told = run([str(program), str(model)], "C",
               env={**os.environ, "LD_LIBRARY_PATH": str(library.parent)})
    if "Lily" not in told and "time" not in told:
        sys.exit("the blocks wrote nothing:\n" + told)
    return len(found)


def check_lua(folder):
    found = list(blocks("lua"))
    for number, (page, block) in enumerate(found):
        block = block.replace('"DeepSeek-V2-Lite"', "MODEL").replace("8192", "256")
        text = "\n".join([
            'local mote = require "mote"', f"local MODEL = {str(model)!r}",
            "local model = assert(mote.open(MODEL))",
            "local session = assert(model:session())",
            'local prompt, question = "Once upon a time", "Is the sky blue?"', "do", block, "end"])
        (folder / f"{number}.lua").write_text(text)
        run([lua[0], str(folder / f"{number}.lua")], f"{page}, Lua block {number}",
            env={**os.environ, "LUA_PATH": f"{root}/bindings/lua/?.lua;;", "LUA_CPATH": lua[1] + ";;",
                 "MOTE_LIBRARY": str(library), "MOTE_MODEL": str(model)})
    return len(found)


with tempfile.TemporaryDirectory() as at:
    n_c = check_c(pathlib.Path(at))
    n_lua = check_lua(pathlib.Path(at)) if lua else 0
    print(f"{n_c} blocks of C and {n_lua} of Lua were run")
    if n_c < 5 or (lua and n_lua < 4):
        sys.exit("fewer blocks than there were: were the fences renamed?")
