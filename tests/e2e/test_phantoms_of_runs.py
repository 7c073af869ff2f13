"""The phantom of one run is worth nothing in the next, although both end alike."""

from __future__ import annotations

from nono.credentials.phantom import END_CHARS
from support.nono_run import Ended, NonoRun, nono_run
from support.servers.http1 import HttpUpstream, upstream

KEY = "canary-of-the-real-key"
# OLD is what the run before this one held; what is asked is all that differs.
ASK = (
    'echo "$DEMO_KEY"; curl -sS -o /dev/null -w "%{http_code}" -H "Authorization: Bearer ${OLD:-$DEMO_KEY}" '
)
ASK += '"$DEMO_BASE_URL/"'


def ask(sandbox: NonoRun, provider: HttpUpstream, old: str = "") -> tuple[str, str, Ended]:
    """Return the phantom of a run, the status it was answered, and the run."""
    demo = {
        "upstream": f"http://127.0.0.1:{provider.port}",
        "credential_key": "env://DEMO_KEY",
        "env_var": "DEMO_KEY",
    }
    profile = {"network": {"credentials": ["demo"], "custom_credentials": {"demo": demo}}}
    run = sandbox.run(["sh", "-c", ASK], profile=profile, environment={"DEMO_KEY": KEY, "OLD": old})
    phantom, status = run.stdout.split()
    return phantom, status, run


def test_the_phantom_of_an_older_run_is_refused() -> None:
    with nono_run() as sandbox, upstream() as provider:
        older, status, _ = ask(sandbox, provider)
        assert status == "200"
        newer, status, run = ask(sandbox, provider, older)
        assert older[-END_CHARS:] == newer[-END_CHARS:]
        assert older != newer
        assert status == "401"
        assert [event["denial_category"] for event in run.denied if event["target"] == "demo"] == [
            "authentication_failed"
        ]
        assert [request.value(b"authorization") for request in provider.requests] == [
            f"Bearer {KEY}".encode()
        ]


def test_the_command_cannot_read_what_the_ends_are_made_from() -> None:
    with nono_run() as sandbox, upstream() as provider:
        ask(sandbox, provider)
        file = sandbox.user.home / ".local/state/nono/phantoms.json"
        assert sandbox.bare(["cat", str(file)]).exit_code == 0
        run = sandbox.run(["cat", str(file)])
        assert run.exit_code != 0
        assert file.read_text().strip('"\n') not in run.stdout + run.stderr
