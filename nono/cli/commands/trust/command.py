"""`nono trust`: parse its actions."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from nono.cli.args import argparse_parser
from nono.kernel import process

DESCRIPTION = (
    "Signs, verifies and approves the files that instruct an agent: CLAUDE.md, AGENTS.md, skills. Where a "
    "trust-policy.json says so, `nono run` reads no other."
)


def run(argv: Sequence[str]) -> int:
    parsed = parser().parse_args(list(argv))
    process.keep_memory_private()  # before the key that signs is read
    environ = dict(os.environ)
    # Imported here: the help needs only the parser, and must work without any third-party package.
    from nono.cli.commands.trust import approving, checking, keys, signing

    match parsed.action:
        case "init":
            key = None if parsed.without_key else keys.reference(parsed)
            return signing.init(parsed.include, key, environ, is_user=parsed.user, replaces=parsed.force)
        case "sign":
            return signing.sign(parsed.files, parsed, keys.reference(parsed), environ)
        case "sign-policy":
            return signing.sign_policy(parsed.file, keys.reference(parsed), environ, is_user=parsed.user)
        case "verify":
            return checking.verify(parsed.files, parsed.policy, environ)
        case "list":
            return checking.show(parsed.policy, environ, as_json=parsed.json)
        case "approve":
            return approving.approve(parsed.files, environ, is_sure=parsed.yes)
        case "forget":
            return approving.forget(parsed.directory, environ)
        case "keygen":
            return keys.generate(keys.reference(parsed), environ, replaces=parsed.force)
        case "export-key":
            return keys.export(keys.reference(parsed), environ, as_pem=parsed.pem)
    raise AssertionError(f"no arm for the action {parsed.action}")


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono trust", DESCRIPTION)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_signing(actions)
    _add_judging(actions)
    _add_keys(actions)
    return parser


def _add_signing(actions: argparse_parser.Actions) -> None:
    """Add the actions that write and sign."""
    init = argparse_parser.add_action(actions, "init", "write a trust policy for this directory")
    init.add_argument(
        "--user", action="store_true", help="write the policy for all your projects, in nono's configuration"
    )
    init.add_argument(
        "--include", action="append", default=[], metavar="PATTERN",
        help="which files are instructions; a name without a slash counts at any depth",
    )  # fmt: skip
    _add_key(init).add_argument(
        "--without-key", action="store_true", help="name no publisher: files count once you approve them"
    )
    init.add_argument("--force", action="store_true", help="replace one that is there")

    sign = argparse_parser.add_action(actions, "sign", "sign files, or each folder as a whole")
    sign.add_argument("files", nargs="*", metavar="FILE", help="a file, or the folder of a skill")
    sign.add_argument("--all", action="store_true", help="sign all files that the policy includes")
    _add_key(sign).add_argument("--keyless", action="store_true", help="sign as this CI job, by Sigstore")
    sign.add_argument(
        "--multi-subject", action="store_true", help="make one signature over all, in .nono-trust.bundle"
    )
    _add_policy(sign)

    policy = argparse_parser.add_action(actions, "sign-policy", "sign a trust policy, which makes it yours")
    policy.add_argument("file", nargs="?", metavar="FILE", help="policy to use instead of trust-policy.json")
    policy.add_argument("--user", action="store_true", help="sign the policy for all your projects")
    _add_key(policy)


def _add_judging(actions: argparse_parser.Actions) -> None:
    """Add the actions that check files and approve them."""
    verify = argparse_parser.add_action(actions, "verify", "check files; exit with 1 if one is not trusted")
    verify.add_argument(
        "files", nargs="*", metavar="FILE", help="file to check; without any, all that the policy includes"
    )
    verify.add_argument(
        "--all", action="store_true", help="check all files that the policy includes, as without FILE"
    )
    _add_policy(verify)

    shown = argparse_parser.add_action(actions, "list", "list the files that the policy includes")
    argparse_parser.add_json(shown)
    _add_policy(shown)

    approve = argparse_parser.add_action(
        actions, "approve", "show what changed since you approved it, and approve it"
    )
    approve.add_argument(
        "files", nargs="*", metavar="FILE", help="file to approve; without any, all that are not trusted"
    )
    approve.add_argument("--yes", "-y", action="store_true", help="do not ask")

    forget = argparse_parser.add_action(
        actions, "forget", "forget what was approved in a project, and its policy"
    )
    forget.add_argument(
        "directory", nargs="?", metavar="DIR", help="directory of the project; without one, this one"
    )


def _add_keys(actions: argparse_parser.Actions) -> None:
    """Add the actions about keys."""
    keygen = argparse_parser.add_action(actions, "keygen", "make a key to sign with")
    export = argparse_parser.add_action(actions, "export-key", "print the public half of a key")
    for action in (keygen, export):
        which = action.add_mutually_exclusive_group()
        which.add_argument("--id", dest="key", metavar="ID", help="name in the keystore (default)")
        which.add_argument("--keyref", metavar="URI", help="keystore://NAME or file:///PATH")
    keygen.add_argument("--force", action="store_true", help="replace one that is there")
    export.add_argument("--pem", action="store_true", help="print PEM, which cosign and openssl read")


def _add_key(action: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    which = action.add_mutually_exclusive_group()
    which.add_argument("--key", metavar="ID", help="name of the key in the keystore (default)")
    which.add_argument("--keyref", metavar="URI", help="keystore://NAME or file:///PATH")
    return which


def _add_policy(action: argparse.ArgumentParser) -> None:
    action.add_argument("--policy", metavar="FILE", help="policy to use instead of trust-policy.json")
