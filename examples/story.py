# SPDX-License-Identifier: MIT
"""A story from Python, piece by piece, and a second one that begins the same."""

import mote

with mote.Model() as model, model.session() as session:
    print("Once upon a time", end="")
    for piece in session.generate("Once upon a time", max_tokens=60, temperature=0.7, seed=7):
        print(piece, end="", flush=True)
    print("\n---")
    print("Once upon a time", end="")
    for piece in session.generate("Once upon a time", max_tokens=60, temperature=0.7, seed=8):
        print(piece, end="", flush=True)
    print()
