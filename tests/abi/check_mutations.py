#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Proves that the tests of this folder fail when they should: changes a copy of the
headers as a careless person would, and runs them on it. Harmless additions must pass the
comparison with the baseline.

check_mutations.py ROOT LIBRARY COMPILER..."""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

root, library, compiler = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[3:]

# what, file, pattern, replacement, the checks that must fail
MUTATIONS = [
    ("a function is renamed", "session.h", r"mote_session_fork\(", "mote_session_clone(",
     "symbols baseline"),
    ("a function is gone", "version.h", r"MOTE_API const char \*mote_version_isa\(void\);", "",
     "symbols baseline"),
    ("an argument changes its type", "session.h", r"(mote_session_rewind\(\s*mote_session "
     r"\*session, )uint32_t", r"\1uint64_t", "baseline"),
    ("an argument is added", "model.h", r"(mote_model_threads\(const mote_model \*model)",
     r"\1, uint32_t which", "baseline"),
    ("arguments change places", "tokenizer.h", r"(mote_tokenizer_find\(\s*const mote_tokenizer "
     r"\*tokenizer, )const char \*(\w+), size_t (\w+)", r"\1size_t \3, const char *\2", "baseline"),
    ("a result changes its type", "session.h", r"int32_t mote_session_token\(",
     "int64_t mote_session_token(", "baseline"),
    ("a callback changes", "common.h", r"(\*mote_progress_fn\)\(\s*void \*user, const char "
     r"\*stage, )uint64_t", r"\1uint32_t", "baseline"),
    ("options change places", "session.h", r"(uint32_t context_tokens;.*?\n)(.*?prefill_tokens;"
     r".*?\n)", r"\2\1", "layout baseline"),
    ("an option changes its type", "model.h", r"uint32_t mapping;", "uint64_t mapping;",
     "layout baseline"),
    ("an option is put in the middle", "sampler.h", r"(    float temperature;)",
     r"    float heat;\n\1", "layout baseline"),
    ("an option is gone", "pack.h", r"    void \*progress_user;.*?\n", "", "layout baseline"),
    ("an option is renamed", "session.h", r"uint32_t max_tokens;", "uint32_t most_tokens;",
     "layout baseline"),
    ("float becomes int", "sampler.h", r"float top_p;", "uint32_t top_p;", "baseline"),
    ("the error struct grows", "common.h", r"char message\[508\]", "char message[1020]",
     "layout baseline"),
    ("a status has another value", "common.h", r"(MOTE_E_FORMAT) \(-4\)", r"\1 (-14)",
     "layout baseline"),
    ("a status is gone", "common.h", r"#define MOTE_E_NUMERIC.*?\n", "", "layout baseline"),
    ("two statuses change places", "common.h", r"(MOTE_E_IO) \(-3\)(.*?)(MOTE_E_FORMAT) \(-4\)",
     r"\1 (-4)\2\3 (-3)", "layout baseline"),
    ("MOTE_DONE becomes an error", "common.h", r"(MOTE_DONE) 1", r"\1 (-12)", "layout baseline"),
    ("a choice has another value", "session.h", r"(MOTE_KV_FP8) 3u", r"\1 4u", "layout baseline"),
    ("a channel has another value", "session.h", r"(MOTE_CHANNEL_TOOL) 2u", r"\1 3u",
     "layout baseline"),
    ("a choice's name is gone", "options.def", r"f32=1, bf16=2, fp8=3", "f32=1, bf16=2",
     "options"),
    ("a choice's name has another value", "options.def", r'"auto=0, off=1, mtp=2, ngram=3"',
     '"auto=0, off=1, mtp=3, ngram=2"', "options"),
    ("a range becomes narrower", "options.def", r"temperature, F32, 0, 100", "temperature, F32, "
     "0, 2", "options"),
    ("an option cannot be set by text any more", "options.def", r"deterministic, CHOICE, 0, 1, "
     r'"off=0, on=1"', 'deterministic, RESERVED, 0, 1, ""', "options"),
    ("an option is not listed", "options.def", r"OPTION\(SESSION, mote_session_options, draft, "
     r".*?\)\n(?=OPTION)", "", "options"),
]
HARMLESS = [
    ("an option is appended", "session.h", r"\} mote_session_options;",
     "    uint32_t more; /**< new */\n    uint32_t unused; /**< new */\n} mote_session_options;",
     "baseline"),
    ("a result is appended", "model.h", r"\} mote_model_info;",
     "    uint64_t more; /**< new */\n} mote_model_info;", "baseline"),
    ("a status is appended", "common.h", r"(#define MOTE_E_BUDGET)",
     r"#define MOTE_E_NEW (-12)\n\1", "baseline"),
    ("a function is added", "version.h", "(MOTE_END_DECLS)",
     r"MOTE_API uint32_t mote_version_new(void);\n\1", "baseline"),
    ("a choice is appended", "options.def", r"f32=1, bf16=2, fp8=3", "f32=1, bf16=2, fp8=3, fp4=4",
     "options"),
]
failures = 0


def passes(check, tree):
    """Whether one of the tests passes on a tree."""
    abi = tree / "tests/abi"
    if check == "options":
        # options.c alone is a library that can list them; a struct and its list that
        # differ do not compile.
        so = tree / "options.so"
        r = subprocess.run([*compiler, "-std=gnu11", "-w", "-shared", "-fPIC", "-D_GNU_SOURCE", "-I",
                            tree / "include", "-I", root, "-I", tree / "lib", "-o", so,
                            tree / "lib/api/options.c", tree / "lib/base/status.c"],
                           capture_output=True, check=False)
        if r.returncode:
            return False
        command = [sys.executable, abi / "baseline.py", "options", tree, so]
    else:
        command = {
            "layout": [sys.executable, abi / "check_layout.py", tree, *compiler],
            "baseline": [sys.executable, abi / "baseline.py", "check", tree, "-", *compiler],
            "symbols": ["sh", abi / "check_symbols.sh", tree, library],
        }[check]
    r = subprocess.run(command, capture_output=True, text=True, check=False)
    return r.returncode == 0


with tempfile.TemporaryDirectory() as work:
    tree = pathlib.Path(work)
    for folder in ("include", "tests/abi", "lib/api", "lib/base"):
        shutil.copytree(root / folder, tree / folder)
    for check in ("layout", "baseline", "symbols", "options"):
        if not passes(check, tree):
            sys.exit(f"{check} fails on the unchanged headers")
    if not shutil.which("abidiff"):
        print("abidiff: not there (package abigail-tools): skipped")
        sys.exit(77)
    for expected, mutations in ((False, MUTATIONS), (True, HARMLESS)):
        for what, name, pattern, replacement, checks in mutations:
            path = tree / ("lib/api" if name.endswith(".def") else "include/mote") / name
            before = path.read_text()
            after, count = re.subn(pattern, replacement, before, count=1, flags=re.S)
            for check in checks.split():
                path.write_text(after)
                good = count == 1 and passes(check, tree) == expected
                failures += not good
                print(f"{'ok' if good else 'FAILED'}: {what}: {check} "
                      f"{'passes' if expected else 'fails'}")
            path.write_text(before)
print(f"{failures} problems")
sys.exit(failures > 0)
