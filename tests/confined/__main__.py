"""`make test-confined`: run the tests of the boundary on hosts that refuse namespaces, listeners or both.

As root each runs twice, as root and as an ordinary user. The exit code is 1 if a test fails, or if a host
lacks something that it is not known to lack, so that no test is skipped that could have run.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from confined.hosts import HOSTS, Host
from confined.reading import Run, read, table
from support.ordinary_user import OrdinaryUser, ordinary_user
from support.running import needs

ROOT = Path(__file__).parents[2]
ACCOUNT = "nono-ci"  # an ordinary user with a name, where there is one: ssh wants it
TESTS = (
    "tests/kernel",
    "tests/attacks",
    *(f"tests/e2e/test_{name}.py" for name in ("ladder", "launch", "everyday", "missing_filters")),
)
SIDE_BY_SIDE = ("--numprocesses=auto", "--dist=worksteal")
LIMIT_S = 3600


@contextmanager
def account() -> Iterator[OrdinaryUser | None]:
    """Yield an ordinary user to become, or None if this one cannot become another."""
    if os.geteuid() != 0:
        yield None
        return
    with ordinary_user() as user:
        try:
            named = pwd.getpwnam(ACCOUNT)
        except KeyError:
            yield user
            return
        for path in (user.home, *user.home.iterdir()):
            os.chown(path, named.pw_uid, named.pw_gid)
        yield OrdinaryUser(named.pw_uid, named.pw_gid, user.home)


def environment(user: OrdinaryUser | None) -> dict[str, str]:
    names = ("PATH", "LANG", "PYTEST_XDIST_AUTO_NUM_WORKERS", "NONO_TEST_COLD")
    own = {name: os.environ[name] for name in names if name in os.environ}
    home = "/root" if os.geteuid() == 0 else str(Path.home())
    given = {**own, "HOME": home} if user is None else {**user.environment(), **own, "TMPDIR": "/tmp"}
    return {**given, "PYTHONPATH": str(ROOT / "tests"), "PYTHONDONTWRITEBYTECODE": "1"}


def run(name: str, host: Host, user: OrdinaryUser | None, arguments: Sequence[str]) -> Run:
    """Run pytest on the host. user: None for root, or for whoever runs this."""
    who = "root" if user is None and os.geteuid() == 0 else "user"
    result, began = Run(name, who), time.monotonic()
    stage = host.stage("--whole")
    if user is not None:
        stage += user.command([])
    probes = [*stage, sys.executable, needs.__file__]
    asked = subprocess.run(probes, env=environment(user), capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        result.complaints.append(f"the host cannot be made: {asked.stderr.strip()[-400:]}")
        return result
    lacks: dict[str, str] = json.loads(asked.stdout)
    known = host.root if who == "root" else host.user | (frozenset() if os.geteuid() == 0 else host.own)
    if known is not None and lacks.keys() != known:
        more, less = sorted(lacks.keys() - known), sorted(known - lacks.keys())
        result.complaints.append(f"known to lack other things; new are {more}, and it has {less}")
    with tempfile.TemporaryDirectory(prefix="nono-confined-") as folder:
        os.chmod(folder, 0o777)
        report = Path(folder, "report.xml")
        pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *SIDE_BY_SIDE]
        try:
            subprocess.run(
                [*stage, *pytest, f"--junitxml={report}", *arguments],
                cwd=ROOT,
                env=environment(user),
                timeout=LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            result.complaints.append(f"the tests were not done in {LIMIT_S} s")
        read(result, report)
    result.seconds = time.monotonic() - began
    return result


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="confined", description=__doc__)
    parser.add_argument("--host", choices=HOSTS, action="append", help="only this one")
    parser.add_argument("--user", choices=("root", "user"), action="append", help="only as this one")
    parser.add_argument("arguments", nargs="*", help="of pytest, in place of the tests of the boundary")
    given = parser.parse_args(argv)
    runs: list[Run] = []
    for name in given.host or HOSTS:
        host = HOSTS[name]
        users = given.user or ("user", "root")
        if os.geteuid() == 0 and host.root is not None and "root" in users:
            print(f"{name}, as root", flush=True)
            runs.append(run(name, host, None, given.arguments or TESTS))
        if "user" in users:
            print(f"{name}, as an ordinary user", flush=True)
            with account() as user:
                runs.append(run(name, host, user, given.arguments or TESTS))
    print(table(runs))
    for each in runs:
        for why, count in each.skips.most_common():
            print(f"{each.host}, {each.user}: skipped {count}: {why}")
        for complaint in (*each.complaints, *each.failures):
            print(f"{each.host}, {each.user}: FAILED {complaint}")
    return 0 if all(each.is_good for each in runs) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
