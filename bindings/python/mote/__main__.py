# SPDX-License-Identifier: MIT
"""python3 -m mote "Once upon a time": write on from a prompt with the bundled model."""

from __future__ import annotations

import argparse
import os
import sys

from . import Model, MoteError


def main() -> int:
    """The command; returns its exit code."""
    p = argparse.ArgumentParser(prog="python3 -m mote", description="Write on from a prompt.")
    p.add_argument("prompt", nargs="?", default="Once upon a time",
                   help="text to write on from (default: %(default)s)")
    p.add_argument("-m", "--model", help="checkpoint directory or pack (default: bundled)")
    p.add_argument("-n", "--max-tokens", type=int, default=200,
                   help="at most so many tokens (default: %(default)s)")
    p.add_argument("--temp", type=float, help="0: greedy (default: the model's)")
    p.add_argument("--top-p", type=float, help="keep the likeliest tokens up to this "
                   "probability together (default: the model's)")
    p.add_argument("--seed", type=int, default=0, help="same seed, same text (default: 0)")
    a = p.parse_args()
    try:
        with Model(a.model) as model, model.session() as session:
            temp = model.info["default_temperature"] if a.temp is None else a.temp
            top_p = model.info["default_top_p"] if a.top_p is None else a.top_p
            sys.stdout.write(a.prompt)
            for piece in session.generate(a.prompt, max_tokens=a.max_tokens,
                                          temperature=temp, top_p=top_p, seed=a.seed):
                sys.stdout.write(piece.text)
                sys.stdout.flush()
            print(flush=True)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader has enough; what the exit would write goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (MoteError, OSError) as e:
        print(f"mote: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
