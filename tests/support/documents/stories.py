"""List the pages whose commands build on each other, each as one shell session in a folder of its own.

A command appears here exactly as on its page. Where a reader fills in something, such as the number of an
anchor, the shell does that here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Step:
    """A command that a page shows.

    says: What it prints.
    before: What the person has done although the page does not say so.
    leaves: A command that succeeds afterwards.
    own: The reader's own words, by those of the page.
    status: The exit status.
    answers: A person's answers, by question.
    """

    command: str
    says: str = ""
    before: str = ""
    leaves: str = ""
    own: Mapping[str, str] = field(default_factory=dict)
    status: int = 0
    answers: Mapping[str, str] = field(default_factory=dict)

    def script(self) -> str:
        typed = self.command
        for word, own in self.own.items():
            assert word in typed
            typed = typed.replace(word, own)
        ends = f"ended=0; {typed} || ended=$?; [ $ended = {self.status} ]"
        return "\n".join((self.before, f"echo {MARK}", ends, self.leaves, ""))


MARK = "@@@"  # precedes what each command prints
NEWEST = "$(cd ~/.local/state/nono/audit; ls -t | grep -v ndjson | head -1)"
LAST_HEAD = {"00000017": "$(cd anchors; ls *.head | tail -1 | cut -d. -f1)"}
TURNS = """
turn() { printf '{"model": "m", "tools": [{"name": "Bash"}], "messages": [%s]}' "$1"; }
turn '{"role": "user", "content": "Do it"}' > turn-1
turn '{"role": "user", "content": "Do it"}, {"role": "assistant", "content": "done"},
      {"role": "user", "content": "More"}' > turn-2
"""

AUDIT = (
    Step("nono run --audit-anchor rfc3161:https://tsa.example/tsr -- agent", "worked"),
    Step("nono audit verify latest --anchor-ca ~/authority.pem", "VERIFIED"),
    Step("cd ~/.local/state/nono/audit/3f2a9c0d1e4b5a67", own={"3f2a9c0d1e4b5a67": NEWEST}),
    Step("cat anchors/00000017.head", "nono audit log", own=LAST_HEAD),
    Step(
        "openssl ts -verify -data anchors/00000017.head -in anchors/00000017.1.tsr -CAfile ~/authority.pem",
        "Verification: OK",
        own=LAST_HEAD,
        leaves="cd - > /dev/null",
    ),
    Step("nono run --audit-otlp https://otel.example:4318 -- agent", "worked", leaves="[ -s ~/collected ]"),
    Step("nono audit export latest --format ocsf", '"class_uid"'),
    Step(
        "nono audit export --last 7d --format ocsf --out week.jsonl",
        leaves="grep -q '\"class_uid\"' week.jsonl",
    ),
    Step(
        "nono audit export --all --format otlp --out logs.jsonl", leaves="grep -q '\"logRecords\"' logs.jsonl"
    ),
    Step(
        "nono audit export latest --format intoto --sign-key file:///home/me/audit.key --out head.bundle",
        before='nono trust keygen --keyref "file://$HOME/audit.key"',
        own={"/home/me": "$HOME"},
        leaves="grep -q '\"dsseEnvelope\"' head.bundle",
    ),
    Step(
        "nono audit export latest --format cose --sign-key keystore://audit --out head.cose",
        before="nono trust keygen --keyref keystore://audit",
        leaves="grep -q 'nono audit log' head.cose",
    ),
)
ROLLBACK = (
    Step(
        "nono run --rollback --profile claude-code --allow-cwd -- claude",
        "worked",
        before=TURNS,
        leaves="[ -e made ]",
    ),
    Step("nono rollback list", "claude"),
    Step("nono rollback show latest --diff", "+made"),
    Step("nono rollback restore latest --dry-run", "made", leaves="[ -e made ]"),
    Step("nono rollback restore latest", leaves="[ ! -e made ]"),
    Step("nono rollback show latest", "before turn 2"),
    Step(
        "nono rollback restore latest --before-turn 2",
        leaves="[ -e made-in-turn-1 ]; [ ! -e made-in-turn-2 ]",
    ),
)
REPORTS = (
    Step(
        "nono run --record-flows flows --profile agent -- agent",
        "worked",
        own={"--profile": "--name brave-otter --profile"},
        leaves="[ -s flows ]",
    ),
    Step("nono report latest", "inference.internal.example"),
    Step("nono report brave-otter --html otter.html", leaves="grep -q inference.internal.example otter.html"),
    Step(
        "nono report 93d6eb --json",
        "inference.internal.example",
        own={"93d6eb": f"$(echo {NEWEST} | cut -c1-6)"},
    ),
    Step("nono report --last 7d", "inference.internal.example"),
    Step("nono report --last 12h --json", "inference.internal.example"),
    Step("nono replay latest --profile strict", "inference.internal.example", status=1),
    Step(
        "nono replay latest --profile strict --allow-domain api.example.com",
        "inference.internal.example",
        status=1,
    ),
    Step("nono replay --last 7d --profile strict --against default"),
)
TRUST = (
    Step(
        "nono trust keygen",
        before="mkdir -p skills/pdf; echo 'be good' | tee CLAUDE.md > skills/pdf/SKILL.md",
        answers={"Enter: plain text": "\r"},  # the stage has no keyring
    ),
    Step("nono trust init", leaves="[ -e trust-policy.json ]"),
    Step("nono trust sign-policy", leaves="[ -e trust-policy.json.bundle ]"),
    Step("nono trust sign --all", leaves="[ -e CLAUDE.md.bundle ]"),
    Step("nono trust sign skills/pdf", leaves="[ -e skills/pdf/.nono-trust.bundle ]"),
    Step("nono trust list", "CLAUDE.md"),
    Step("nono run --allow-cwd -- claude", "worked"),
    Step(
        "nono trust init --without-key",
        "nono trust approve",
        before="rm -r trust-policy.json trust-policy.json.bundle skills",
    ),
    Step(
        "nono trust approve",
        "be better",
        before="echo 'be better' > CLAUDE.md",
        answers={"Approve it? [y/N]": "y\r"},
    ),
    Step(
        "nono trust approve CLAUDE.md --yes",
        "be best",
        before="echo 'be best' > CLAUDE.md",
    ),
    Step("nono trust forget"),
    Step("nono trust export-key --pem > key.pem", leaves="grep -q 'PUBLIC KEY' key.pem"),
)
STORIES: Mapping[str, Sequence[Step]] = {
    "docs/audit.md": AUDIT,
    "docs/rollback.md": ROLLBACK,
    "docs/reports.md": REPORTS,
    "docs/trust.md": TRUST,
}
