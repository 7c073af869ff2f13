"""Shows nono's main job on this machine, without a real key or the Internet: `make demo`.

An agent works with a key that it never holds, and then tries what it should not. Every step prints
what the agent saw beside what the other side saw, and verifies what it claims; the exit status is 0
only when all of it held.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # where pytest finds the support package, too

from support.demo.report import Report, short
from support.demo.stage import DemoStage, Ended, Service, demo_stage
from support.models.chat import WHOLE

OPENAI = Service("openai", "/v1", "OPENAI_API_KEY")
GITHUB = Service("github", "", "GITHUB_TOKEN")
KEYS = {OPENAI: "sk-proj-THE-REAL-KEY-OF-OPENAI", GITHUB: "ghp_THE-REAL-KEY-OF-GITHUB"}

# The shell script that goes on with its arguments, after it has shown and kept what it was given.
SHOW_KEY_AND = 'printenv OPENAI_API_KEY; env > environment; exec "$@"'
CURL = 'curl -sS -d "{}" -H "Authorization: Bearer $OPENAI_API_KEY" $OPENAI_BASE_URL/chat/completions'


def main() -> int:
    report = Report()
    with demo_stage(tuple(KEYS)) as stage:
        report.say(
            "nono runs an agent so that the kernel holds it to what you granted, and so that it never "
            "holds a real key. The provider here is a small HTTPS server of this demo's own."
        )
        checked = stage.nono("setup", "--check-only")
        if checked.exit_code != 0:
            report.say("\nThis kernel cannot hold an agent, so there is nothing to show:\n")
            print(checked.output)
            return 1
        store_the_keys(stage, report)
        work(stage, report)
        read_a_private_key(stage, report)
        # Where another program has the listener of seccomp, Landlock decides, which tells nobody.
        recorded = "notify listener: available" in checked.output
        connect_past_the_proxy(stage, report, recorded=recorded)
        send_the_phantom_elsewhere(stage, report)
    return report.conclude()


def store_the_keys(stage: DemoStage, report: Report) -> None:
    report.heading("1. You store the keys, once. They are read from standard input.")
    for service, key in KEYS.items():
        stored = stage.nono("credential", "set", service.name, stdin=key)
        report.show("you store", key)
        report.show("nono says", stored.output.replace(str(stage.home), "~"))
        report.claim(f"the key of {service.name} is in nono's store", stored.exit_code == 0)


def work(stage: DemoStage, report: Report) -> None:
    report.heading("2. The agent works. Its variables hold placeholders that look like keys.")
    if shutil.which("curl"):
        _ask(stage, report, CURL, "sh", "-c", CURL)
    _ask(stage, report, "python agent.py  # uses the openai SDK", *stage.agent_argv("ask"))


def _ask(stage: DemoStage, report: Report, shown: str, *command: str) -> None:
    """Show what one client held and got, and the request that its question became."""
    ended = stage.run("sh", "-c", SHOW_KEY_AND, "sh", *command)
    held = (stage.project / "environment").read_text()
    phantom, _, answer = ended.output.partition("\n")
    seen = [value.decode() for request in stage.take_requests() for value in request.values(b"authorization")]
    report.show("you run", f"nono run --profile=./demo.json -- {shown}")
    report.show("the agent held", short(phantom))
    report.show("provider saw", "; ".join(seen) or "nothing")
    report.show("the agent got", answer)
    report.claim("the real key arrived, once", seen == [f"Bearer {KEYS[OPENAI]}"])
    report.claim("the answer came back", WHOLE in answer and ended.exit_code == 0)
    no_key = not any(key in held + ended.output for key in KEYS.values())
    report.claim("the agent held placeholders, and no key", no_key and f"OPENAI_API_KEY={phantom}" in held)


def read_a_private_key(stage: DemoStage, report: Report) -> None:
    report.heading("3. The agent tries to read ~/.ssh.")
    tried = stage.agent("read-ssh-key")
    why = stage.nono("why", f"--profile={stage.profile}", f"--path={stage.private_key}", "--op=read")
    reasons = [line.partition(":")[2] for line in why.output.splitlines() if "Details:" in line]
    report.show("the agent got", tried.output.replace(str(stage.home), "~"))
    report.show("nono why", " ".join(reasons).replace(str(stage.home), "~"))
    # Where nobody judges Unix sockets, those of ssh are hidden with their directory.
    is_hidden = "Errno 2]" in tried.output
    said = "the kernel showed it an empty directory" if is_hidden else "the kernel refused to open it"
    report.claim(said, tried.exit_code == 1 and (is_hidden or "Errno 13" in tried.output))
    report.claim("nothing of it was seen", stage.private_key.read_text() not in tried.output)


def connect_past_the_proxy(stage: DemoStage, report: Report, *, recorded: bool) -> None:
    report.heading("4. The agent tries to connect to the provider itself.")
    tried = stage.agent("connect", str(stage.provider.port))
    report.show("the agent got", tried.output)
    report.show("audit log", tried.reason or "(refused by Landlock, which leaves no line)")
    if recorded:
        report.claim("the audit log says why", "direct connection" in (tried.reason or ""))
    report.claim("the kernel refused the connection", tried.exit_code == 1 and "Errno 13" in tried.output)
    report.claim("the provider saw nothing", not stage.take_requests())


def send_the_phantom_elsewhere(stage: DemoStage, report: Report) -> None:
    report.heading("5. The agent sends its placeholder to another service, which has a key too.")
    _refused(stage, report, stage.agent("other-service"))
    report.heading("6. The agent sends its placeholder to a plain host, one that it may reach.")
    url = f"http://localhost:{stage.elsewhere.port}/"
    visited = stage.agent("visit", url)
    report.claim(
        "without the placeholder it reaches the host", visited.exit_code == 0 and bool(stage.take_requests())
    )
    _refused(stage, report, stage.agent("other-host", url))


def _refused(stage: DemoStage, report: Report, tried: Ended) -> None:
    report.show("the agent got", tried.output)
    report.show("audit log", tried.reason or "(no line)")
    report.claim("the proxy refused the request", tried.exit_code == 1 and "403" in tried.output)
    report.claim("the audit log says why", tried.reason is not None and "placeholder" in tried.reason)
    report.claim("neither server saw anything", not stage.take_requests())


if __name__ == "__main__":
    sys.exit(main())
