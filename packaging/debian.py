"""Builds a Debian package from a wheel: `python packaging/debian.py WHEEL DIRECTORY`.

A virtual environment of Debian's Python in /usr/lib/nono, with every dependency as it is locked, since not
all of them are packages of Debian (docs/adr/0055-packages.md).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHON = "/usr/bin/python3"
PLACE = "usr/lib/nono"
UV = Path(sys.executable).with_name("uv")
SCRIPTS = {
    "postinst": f"/{PLACE}/bin/python3 -I -m nono.bytecode.writer || true",
    "prerm": f"rm -f /{PLACE}/lib/python3.*/site-packages/nono/__pycache__/start.*.bytecode",
}
SUMMARY = "run a command in a sandbox, with its keys kept outside"


def main(wheel: Path, target: Path) -> None:
    version = wheel.name.split("-")[1]
    minor = _output(PYTHON, "-c", "import sys; print(sys.version_info.minor)")
    architecture = _output("dpkg", "--print-architecture")
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        packages = tree / PLACE / f"lib/python3.{minor}/site-packages"
        packages.mkdir(parents=True)
        _install(wheel, packages, minor)
        _environment(tree, minor)
        _shared(tree)
        # Users cannot write bytecode there, and each start would compile it anew.
        _run(PYTHON, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash",
             "-s", str(tree), "-p", "/", str(packages))  # fmt: skip
        _control(tree, version, minor, architecture)
        _scripts(tree, minor)
        for path in [tree, *tree.rglob("*")]:
            if not path.is_symlink():
                is_program = path.parent.name == "bin" or path.name in SCRIPTS
                path.chmod(0o755 if path.is_dir() or is_program else 0o644)
        package = target / f"nono_{version}_{architecture}.deb"
        _run("dpkg-deb", "--root-owner-group", "-Zzstd", "-z9", "--build", str(tree), str(package))
        print(package)


def _install(wheel: Path, packages: Path, minor: str) -> None:
    """Install the wheel and what is locked for it, from binary packages alone."""
    locked = _output(str(UV), "export", "--frozen", "--quiet", "--no-dev", "--no-emit-project", cwd=ROOT)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(locked)
        file.flush()
        common = [str(UV), "pip", "install", "--quiet", "--system-certs", "--python",
                  f"/usr/bin/python3.{minor}", "--target", str(packages), "--link-mode", "copy"]  # fmt: skip
        _run(*common, "--require-hashes", "--only-binary", ":all:", "--requirement", file.name)
    _run(*common, "--no-deps", str(wheel))


def _environment(tree: Path, minor: str) -> None:
    """Make a virtual environment around the packages, as `python3 -m venv` would in its final place."""
    place = tree / PLACE
    (place / "bin").mkdir()
    (place / "bin/python3").symlink_to(f"/usr/bin/python3.{minor}")
    (place / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.{minor}\n"
    )
    script = f"#!/{PLACE}/bin/python3\nimport sys\n\nfrom nono.__main__ import main\n\nsys.exit(main())\n"
    (place / "bin/nono").write_text(script)
    (tree / "usr/bin").mkdir()
    (tree / "usr/bin/nono").symlink_to(f"../../{PLACE}/bin/nono")


def _shared(tree: Path) -> None:
    """Move man pages, completions, schemas and the licence to where Debian has them."""
    [packages] = (tree / PLACE).glob("lib/python3.*/site-packages")
    share = tree / "usr/share"
    for name in ("man", "bash-completion", "zsh", "fish", "nono"):
        shutil.copytree(packages / "share" / name, share / name)
    shutil.rmtree(packages / "share")
    shutil.rmtree(packages / "bin", ignore_errors=True)
    (share / "zsh/site-functions").rename(share / "zsh/vendor-completions")
    for page in (share / "man").rglob("nono*"):
        _run("gzip", "-9n", str(page))
    documents = share / "doc/nono"
    documents.mkdir(parents=True)
    shutil.copy(ROOT / "LICENSE", documents / "copyright")
    shutil.copy(ROOT / "CHANGELOG.md", documents / "changelog")
    _run("gzip", "-9n", str(documents / "changelog"))


def _control(tree: Path, version: str, minor: str, architecture: str) -> None:
    size = sum(path.lstat().st_size for path in tree.rglob("*") if path.is_file()) // 1024
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    repository = project["urls"]["Repository"]
    owner = repository.split("/")[-2]
    about = re.sub(r"\s+", " ", re.sub(r"[*`]", "", readme.split("\n\n")[1]))
    fields = {
        "Package": "nono",
        "Version": version,
        "Architecture": architecture,
        "Maintainer": f"The nono authors <{owner}@users.noreply.github.com>",
        "Homepage": repository,
        "Depends": f"python3 (>= 3.{minor}), python3 (<< 3.{int(minor) + 1}), libc6, libseccomp2, "
        "ca-certificates",
        "Recommends": "libsecret-tools, man-db",
        "Installed-Size": str(size),
        "Section": "utils",
        "Priority": "optional",
        "Description": f"{SUMMARY}\n {about}",
    }
    (tree / "DEBIAN").mkdir()
    control = "".join(f"{name}: {value}\n" for name, value in fields.items())
    (tree / "DEBIAN/control").write_text(control, encoding="utf-8")


def _scripts(tree: Path, minor: str) -> None:
    """Make the package write the file of bytecode when it is installed and when Python is upgraded.

    It says when the directories of that machine were changed (docs/adr/0076-one-file-of-bytecode.md).
    """
    for name, line in SCRIPTS.items():
        (tree / "DEBIAN" / name).write_text(f"#!/bin/sh\nset -e\n{line}\n")
    (tree / "DEBIAN/triggers").write_text(f"interest-noawait /usr/lib/python3.{minor}\n")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _output(*command: str, cwd: Path | None = None) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=cwd).stdout.strip()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
