# SPDX-License-Identifier: MIT
"""A made-up later version of the library: make_next.headers() edits the headers and
options.def as an ordinary minor release would (every struct grows, a function is added),
make_next.build() compiles the library from them."""
import concurrent.futures
import pathlib
import re
import shutil
import subprocess

VERSION = (0, 2, 0)


def headers(root, out):
    """Copy include/ and lib/ to `out`, one version later."""
    shutil.rmtree(out, ignore_errors=True)
    for folder in ("include", "lib"):
        shutil.copytree(root / folder, out / folder)
    grown = []
    for path in sorted((out / "include/mote").glob("*.h")):
        text = path.read_text()

        def grow(m):
            if "uint32_t struct_size" not in m[0]:
                return m[0]
            grown.append(m[1])
            return (m[0][:m[0].rindex("}")] + "    uint32_t next_option; /**< new */\n"
                    "    uint32_t next_unused; /**< new */\n} " + m[1] + ";")

        text = re.sub(r"typedef struct (mote_\w+) \{.*?\} \1;", grow, text, flags=re.S)
        if path.name == "version.h":
            major, minor, patch = VERSION
            for name, value in (("MAJOR", major), ("MINOR", minor), ("PATCH", patch),
                                ("NUMBER", major * 1000000 + minor * 1000 + patch)):
                text = re.sub(rf"(MOTE_VERSION_{name}) \d+", rf"\1 {value}", text)
            text = text.replace("MOTE_END_DECLS", "/** New. */\nMOTE_API uint32_t "
                                "mote_next_function(void);\nMOTE_END_DECLS", 1)
        path.write_text(text)
    options = out / "lib/api/options.def"
    text = options.read_text()
    for kind, struct in re.findall(r"^STRUCT\((\w+), (\w+),", text, flags=re.M):
        for field in ("next_option", "next_unused"):
            text += (f'OPTION({kind}, {struct}, {field}, U32, 0, 10, "", "none", '
                     '"added later")\n')
    options.write_text(text)
    version = out / "lib/api/version.c"
    version.write_text(version.read_text() + "\nuint32_t mote_next_function(void)\n{\n"
                       "    return 42;\n}\n")
    return grown


def build(root, out, compiler, arguments, sources, kernels):
    """Compile the edited lib/ and link it twice: as a later minor version with the same
    ABI, and as one with another ABI. Returns both paths."""
    objects = []
    jobs = []
    for source in sources:
        source = out / pathlib.Path(source).resolve().relative_to(root)
        target = out / "objects" / (source.relative_to(out).as_posix().replace("/", "_") + ".o")
        target.parent.mkdir(exist_ok=True)
        objects.append(target)
        jobs.append([*compiler, "-std=gnu11", "-O1", "-fPIC", "-fvisibility=hidden", "-DNDEBUG",
                     "-D_GNU_SOURCE", "-ffp-contract=off", "-fno-math-errno", *arguments,
                     "-I", out / "include", "-I", out / "lib", "-I", root,
                     "-c", source, "-o", target])
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for r in pool.map(lambda j: subprocess.run(j, check=False), jobs):
            if r.returncode:
                raise SystemExit("the later version does not compile")
    libs = subprocess.run(["pkg-config", "--libs", "libpcre2-8", "jansson", "libzstd"],
                          check=True, capture_output=True, text=True).stdout.split()
    built = []
    for folder, abi, later in (("minor", 0, "MOTE_0.2 { mote_next_function; } MOTE_0;\n"),
                               ("other", 1, "")):
        script = out / f"{folder}.map"
        text = (root / "lib/mote.map.in").read_text().replace("@ABI@", str(abi))
        script.write_text(text + later)
        library = out / folder / f"libmote.so.{abi}"
        library.parent.mkdir(exist_ok=True)
        subprocess.run([*compiler, "-shared", "-o", library, f"-Wl,-soname,{library.name}",
                        f"-Wl,--version-script={script}", "-Wl,-Bsymbolic", "-Wl,-z,now", *objects,
                        "-Wl,--whole-archive", *kernels, "-Wl,--no-whole-archive",
                        *libs, "-lm", "-pthread"], check=True)
        built.append(library)
    return built
