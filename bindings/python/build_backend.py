# SPDX-License-Identifier: MIT
"""Build backend (PEP 517) without requirements: a wheel is this package, libmote with the
libraries it needs beside it, and the bundled model.

The library is built here with meson (which, with a C compiler and PCRE2, jansson and zstd,
must be installed). It looks for its libraries in its own folder first.
"""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sysconfig
import tarfile
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NAME, VERSION = "mote", "0.1.0"
METADATA = f"""Metadata-Version: 2.1
Name: {NAME}
Version: {VERSION}
Summary: Run DeepSeek-V3-class models inside your program
License: MIT
Requires-Python: >=3.9
"""


def _tag() -> str:
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    return f"py3-none-{platform}"


#: What goes along; the C library and the loader are the system's.
BUNDLED = ("libpcre2-8", "libjansson", "libzstd")


def _libraries(work: Path) -> "dict[str, Path]":
    build = work / "build"
    subprocess.run(
        ["meson", "setup", str(build), str(ROOT), "--buildtype=release", "-Dtests=false",
         "-Dc_link_args=-Wl,-rpath,$ORIGIN"], check=True, stdout=2)
    subprocess.run(["ninja", "-C", str(build), "lib/libmote.so.0.1.0"], check=True, stdout=2)
    library = build / "lib" / "libmote.so.0"
    needed = subprocess.run(["ldd", str(library)], check=True, capture_output=True, text=True)
    found = {"libmote.so.0": library}
    for line in needed.stdout.splitlines():
        words = line.split()
        if len(words) > 2 and words[0].startswith(BUNDLED):
            found[words[0]] = Path(words[2])
    files = {}
    for name, path in found.items():
        files[name] = work / name
        files[name].write_bytes(path.read_bytes())
        subprocess.run(["strip", "--strip-unneeded", str(files[name])], check=True)
    return files


def _files(work: Path) -> "dict[str, Path]":
    files = {f"mote/{p.name}": p for p in sorted((HERE / "mote").iterdir())
             if p.suffix == ".py" or p.name == "py.typed"}
    for name, p in _libraries(work).items():
        files[f"mote/{name}"] = p
    for p in sorted((ROOT / "models" / "tiny-v3").iterdir()):
        files[f"mote/models/tiny-v3/{p.name}"] = p
    return files


def _info() -> "dict[str, str]":
    """The folder .dist-info, but for the list of files."""
    return {"METADATA": METADATA, "LICENSE": (ROOT / "LICENSE").read_text(),
            "WHEEL": f"Wheel-Version: 1.0\nGenerator: mote\nRoot-Is-Purelib: false\n"
                     f"Tag: {_tag()}\n"}


def prepare_metadata_for_build_wheel(metadata_directory: str,
                                     config_settings: object = None) -> str:
    """PEP 517: without it, pip builds the whole wheel twice."""
    info = f"{NAME}-{VERSION}.dist-info"
    (Path(metadata_directory) / info).mkdir()
    for name, text in _info().items():
        (Path(metadata_directory) / info / name).write_text(text)
    return info


def build_wheel(wheel_directory: str, config_settings: object = None,
                metadata_directory: object = None) -> str:
    """PEP 517."""
    name = f"{NAME}-{VERSION}-{_tag()}.whl"
    info = f"{NAME}-{VERSION}.dist-info"
    record = []
    with tempfile.TemporaryDirectory() as t, zipfile.ZipFile(
            Path(wheel_directory) / name, "w", zipfile.ZIP_DEFLATED) as z:
        def put(path: str, data: bytes, mode: int = 0o644) -> None:
            entry = zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0))  # reproducible
            entry.external_attr = mode << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            z.writestr(entry, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
            record.append(f"{path},sha256={digest.decode()},{len(data)}")

        for path, source in _files(Path(t)).items():
            put(path, source.read_bytes(), 0o755 if ".so" in path else 0o644)
        for file, text in _info().items():
            put(f"{info}/{file}", text.encode())
        record.append(f"{info}/RECORD,,")
        put(f"{info}/RECORD", ("\n".join(record) + "\n").encode())
    return name


def build_sdist(sdist_directory: str, config_settings: object = None) -> str:
    """PEP 517: the package alone; building a wheel of it needs the project's tree."""
    name = f"{NAME}-{VERSION}.tar.gz"
    with tarfile.open(Path(sdist_directory) / name, "w:gz") as t:
        for p in ["pyproject.toml", "build_backend.py"]:
            t.add(HERE / p, f"{NAME}-{VERSION}/{p}")
        for p in sorted((HERE / "mote").glob("*.py")):
            t.add(p, f"{NAME}-{VERSION}/mote/{p.name}")
    return name
