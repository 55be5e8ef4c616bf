# SPDX-License-Identifier: MIT
"""The loop of overhead.c through the Python binding."""
import sys
import time

import mote

with mote.Model(sys.argv[1], n_threads=1) as model, model.session(draft="off") as session:
    for _ in sys.stdin:
        before = time.process_time_ns()
        tokens = size = 0
        for piece in session.generate("Once upon a time", max_tokens=200, ignore_eos=True):
            tokens += len(piece.tokens)
            size += len(piece.text)
        print((time.process_time_ns() - before) // tokens, size, flush=True)
