"""`nono trust init`, `sign` and `sign-policy`: write and sign policies, and sign files."""

from __future__ import annotations

import argparse
import json
import os
import sys
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from posixpath import basename, dirname, isdir, join, realpath, relpath

from nono.cli import atomic_write
from nono.cli.commands.trust import keyless_signing
from nono.cli.commands.trust.checking import loaded_here
from nono.cli.commands.trust.keyless_signing import Seal
from nono.cli.text.session_text import one_line
from nono.credentials.signing import keystore
from nono.credentials.values.errors import CredentialNotFound
from nono.digests import sha256
from nono.disk.regular_file import read_regular_file
from nono.errors import NonoError, UsageError, in_words
from nono.trust import bundle, dsse, pattern, policy, predicates, statement
from nono.trust.disk.concern import user_policy
from nono.trust.disk.evidence import FILE_BYTES_MAX, MANIFEST, SIDECAR
from nono.trust.disk.memory_file import MemoryFile
from nono.trust.disk.scan import SKIPPED, scan
from nono.trust.policy import FILE
from nono.trust.statement import SUBJECTS_MAX, Statement, Subject

INCLUDES = (
    "CLAUDE.md",
    "CLAUDE.local.md",
    "AGENTS.md",
    "GEMINI.md",
    "SKILL.md",
    ".cursorrules",
    ".mcp.json",
    ".claude/**/*.md",
    "**/skills/**",
    ".cursor/rules/**",
    ".github/copilot-instructions.md",
)


def init(
    includes: Sequence[str], key: str | None, environ: Mapping[str, str], *, is_user: bool, replaces: bool
) -> int:
    """Write a policy whose publisher is the person, identified by key; None: a policy without publishers."""
    for each in includes:
        try:
            pattern.check(each)
        except ValueError as error:
            raise UsageError(f"--include: {error}.") from error
    publishers = [] if key is None else [_publisher(key, environ)]
    path = user_policy(environ) if is_user else join(os.getcwd(), FILE)
    fields = {
        "predicate": policy.PREDICATE,
        "includes": list(includes or INCLUDES),
        "files": [],
        "publishers": publishers,
        "blocklist": {"digests": [], "publishers": []},
        "enforcement": "deny",
    }
    content = json.dumps(fields, indent=2).encode() + b"\n"
    try:
        if not replaces:
            atomic_write.create(path, content)
        elif is_user:
            atomic_write.replace(path, content)
        else:
            atomic_write.replace_name(path, content, mode=None)
    except FileExistsError:
        raise NonoError(f"{path} exists.", hint="--force replaces it") from None
    except OSError as error:
        raise NonoError(f"{path} cannot be written: {error.strerror}") from error
    if not is_user:
        _approve_policy(path, content, environ)
    print(one_line(f"Wrote {path}."))
    if key is None:
        print("Next: nono trust approve")
    else:
        user = " --user" if is_user else ""
        print(f"Next: nono trust sign-policy{user}, then nono trust sign --all")
    return 0


def _publisher(key: str, environ: Mapping[str, str]) -> dict[str, str]:
    try:
        public = keystore.public_half(key, environ)
    except CredentialNotFound as error:
        hint = f"{error.hint}, or nono trust init --without-key, if you approve the files yourself"
        raise NonoError(error.message, hint=hint) from error
    return {
        "name": keystore.keystore_name(key) or basename(key),
        "key_id": public.fingerprint,
        "public_key": b64encode(public.der).decode(),
    }


def sign(files: Sequence[str], parsed: argparse.Namespace, key: str, environ: Mapping[str, str]) -> int:
    if bool(files) == parsed.all:
        raise UsageError("name the files to sign, or --all.", hint="nono trust sign CLAUDE.md")
    if parsed.all:
        loaded = loaded_here(environ, parsed.policy)
        found = scan(loaded.root, loaded.trust.policy)
        for sentence in found.unsearched:
            print(one_line(f"instruction files: {sentence}"), file=sys.stderr)
        files = [join(loaded.root, each) for each in found.paths]
        if not files:
            print("No file matches what the policy includes.", file=sys.stderr)
            return 0
    seal = keyless_signing.sealer() if parsed.keyless else _with_key(key, environ)
    if parsed.multi_subject:
        _sign_together(os.getcwd(), files, seal)
        return 0
    for file in files:
        if isdir(file):
            _sign_together(file, _all_below(file), seal)
        else:
            _write(f"{file}{SIDECAR}", predicates.INSTRUCTION_FILE, [_subject(file, basename(file))], seal)
    return 0


def sign_policy(file: str | None, key: str, environ: Mapping[str, str], *, is_user: bool) -> int:
    if file is not None and is_user:
        raise UsageError("--user signs your own policy, and takes no FILE.", hint="leave one of them out")
    path = user_policy(environ) if is_user else file or FILE
    content = _read(path)
    try:
        policy.parse(content)
    except ValueError as error:
        raise NonoError(f"{path}: {error}") from error
    seal = _with_key(key, environ)
    subject = Subject(basename(path), sha256(content).hexdigest())
    _write(f"{path}{SIDECAR}", policy.PREDICATE, [subject], seal)
    if basename(path) == FILE and not is_user:
        _approve_policy(path, content, environ)
    return 0


def _sign_together(directory: str, files: Iterable[str], seal: Seal) -> None:
    """Sign files below a directory in one manifest, which names each by its path from that directory."""
    subjects = []
    for file in files:
        name = relpath(join(realpath(dirname(file) or "."), basename(file)), realpath(directory))
        if name.startswith("../"):
            raise NonoError(f"'{file}' is not below {directory}, where its manifest would be.")
        subjects.append(_subject(file, name))
    if not 0 < len(subjects) <= SUBJECTS_MAX:
        raise NonoError(f"a manifest has 1 to {SUBJECTS_MAX} files, and {directory} has {len(subjects)}.")
    _write(join(directory, MANIFEST), predicates.MULTI_FILE, subjects, seal)


def _all_below(directory: str) -> Iterator[str]:
    for above, directories, files in os.walk(directory):
        directories[:] = sorted({*directories} - SKIPPED)
        for name in sorted(files):
            if not name.endswith(SIDECAR):
                yield join(above, name)


def _subject(file: str, name: str) -> Subject:
    return Subject(name, sha256(_read(file)).hexdigest())


def _read(path: str) -> bytes:
    try:
        return read_regular_file(path, FILE_BYTES_MAX)
    except OSError as error:
        raise NonoError(f"{path} cannot be read: {error.strerror}") from error


def _with_key(key: str, environ: Mapping[str, str]) -> Seal:
    """Return a function that signs with a key. Raises NonoError if the key is not available."""
    signer = keystore.load(key, environ, lambda sentence: print(f"  [nono] {sentence}", file=sys.stderr))
    fingerprint = signer.public.fingerprint

    def seal(predicate_type: str, subjects: Sequence[Subject]) -> bytes:
        said = Statement(tuple(subjects), predicate_type, predicates.keyed(fingerprint))
        envelope = dsse.signed(dsse.IN_TOTO, statement.encoded(said), signer.sign)
        return bundle.encoded(envelope, fingerprint)

    return seal


def _write(path: str, predicate_type: str, subjects: Sequence[Subject], seal: Seal) -> None:
    content = seal(predicate_type, subjects)
    try:
        atomic_write.replace_name(path, content, mode=None)
    except OSError as error:
        raise NonoError(f"{path} cannot be written: {error.strerror}") from error
    print(one_line(f"Signed {_named(subjects)}: {path}"))


def _named(subjects: Sequence[Subject]) -> str:
    return subjects[0].name if len(subjects) == 1 else f"{len(subjects)} files"


def _approve_policy(path: str, content: bytes, environ: Mapping[str, str]) -> None:
    """Approve a policy that the person has just written or signed."""
    digest = sha256(content).hexdigest()
    try:
        MemoryFile(realpath(dirname(path) or "."), environ).change(
            lambda memory: memory.approving({FILE: digest}, {digest: content}), {digest: content}
        )
    except (OSError, ValueError) as error:
        raise NonoError(f"the approval of {path} cannot be stored: {in_words(error)}") from error
