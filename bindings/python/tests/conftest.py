# SPDX-License-Identifier: MIT
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "bindings" / "python"))


@pytest.fixture(scope="session")
def model():
    import mote

    with mote.Model(ROOT / "models" / "tiny-v3", n_threads=2) as m:
        yield m


@pytest.fixture()
def session(model):
    with model.session(kv_type="f32", precision="exact") as s:
        yield s
