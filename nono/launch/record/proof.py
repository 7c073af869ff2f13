"""Conclude the audit log of a run or a proxy: write its summary, its signature, its entry in the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from posixpath import basename, dirname

from nono import paths
from nono.audit.proof.conclusion import conclude, summary_of
from nono.audit.proof.summary import Executable, Summary
from nono.errors import ConfigError, NonoError, in_words
from nono.launch.prepare import Prepared
from nono.launch.session import USUAL_PROVING, Proving, Session, Warn
from nono.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from nono.audit.proof.attestation import Signer
    from nono.undo.model.snapshot import Tree


class Evidence(NamedTuple):
    """What was collected before the command started."""

    proving: Proving = USUAL_PROVING
    tracked_paths: tuple[str, ...] = ()
    hashed: tuple[str, ...] = ()  # the writable directories, if their files are hashed
    tree_before: str | None = None
    tree_after: str | None = None
    executable: Executable | None = None
    signer: Signer | None = None
    source_variable: str | None = None  # the variable that held the key, which the command must not inherit


def usual_evidence(prepared: Prepared) -> Evidence:
    """Return the evidence of a run for which nothing special was requested. Reads nothing."""
    capabilities = prepared.capabilities
    granted = dict.fromkeys(grant.path for grant in capabilities.grants if grant.is_dir and grant.is_users)
    # First the directory that the command works in, because sessions are listed by it.
    here = [path for path in granted if f"{capabilities.workdir}/".startswith(f"{path}/")]
    return Evidence(tracked_paths=tuple(dict.fromkeys((*sorted(here, key=len, reverse=True), *granted))))


def gathered(proving: Proving, prepared: Prepared) -> Evidence:
    """Gather what a person asked for, but for key and files, before the command can change it.

    Raises NonoError.
    """
    evidence = usual_evidence(prepared)._replace(proving=proving)
    if proving.sign_key is not None:
        variable = source_variable("--audit-sign-key", proving.sign_key, prepared)
        evidence = evidence._replace(source_variable=variable)
    if proving.hashes_trees:
        writable = tuple(
            grant.path
            for grant in prepared.capabilities.grants
            if grant.is_dir and grant.is_users and grant.access.writes
        )
        evidence = evidence._replace(hashed=writable)
    if prepared.program is not None:
        evidence = evidence._replace(executable=_executable(prepared.program))
    return evidence


def with_files(evidence: Evidence, seen: Sequence[Tree], warn: Warn) -> Evidence:
    """Return the evidence with the files of the writable directories, if they are to be hashed.

    seen: What undo has just seen of them. Raises NonoError if there is too much.
    """
    if not evidence.proving.hashes_trees:
        return evidence
    return evidence._replace(tree_before=_tree(evidence.hashed, seen, warn))


def with_files_after(evidence: Evidence, seen: Sequence[Tree], warn: Warn) -> Evidence:
    """Return the evidence with the files as the run has left them."""
    if evidence.tree_before is None:
        return evidence
    # What a command writes must not cost the log its proof.
    try:
        return evidence._replace(tree_after=_tree(evidence.hashed, seen, warn))
    except (NonoError, OSError) as error:
        warn(f"--audit-integrity: the files after the run are not covered: {in_words(error)}")
        return evidence


def with_signer(evidence: Evidence, environ: Mapping[str, str], warn: Warn) -> Evidence:
    """Add the signing key to the evidence, if one was requested. Raises NonoError if it is not available."""
    if evidence.proving.sign_key is None:
        return evidence
    # Imported here: few runs are signed.
    from nono.credentials.signing import keystore

    return evidence._replace(signer=keystore.load(evidence.proving.sign_key, environ, warn))


def source_variable(option: str, reference: str, prepared: Prepared) -> str | None:
    """Return the variable that holds the key of an option, or None.

    Raises ConfigError if the command could read the key.
    """
    from nono.credentials.signing.keystore import keystore_name
    from nono.credentials.values.reference import EnvironmentReference, FileReference, parse_reference
    from nono.policy.host_filesystem import HostFilesystem
    from nono.policy.services.key_reach import refuse_readable_key

    if keystore_name(reference) is not None:
        return None
    parsed = parse_reference(reference)
    if isinstance(parsed, FileReference):
        try:
            grants = prepared.capabilities.grants
            refuse_readable_key(option, parsed.path, grants, HostFilesystem())
        except ConfigError as error:
            raise ConfigError(
                f"{option}: the key lies in a granted directory, so the command could sign anything.",
                hint="keep it outside the grants, or in the keyring: nono trust keygen --id NAME",
            ) from error
    return parsed.name if isinstance(parsed, EnvironmentReference) else None


def concluded(session: Session, exit_code: int, evidence: Evidence, snapshots: int = 0) -> int:
    """Close the log and write what proves it. Returns the exit code of nono: not 0 if that cannot be done.

    snapshots: How many undo has taken.
    Call it behind the last record. Of a session whose end could not be recorded there is nothing to conclude.
    """
    log = session.log
    if log is None or "session_ended" not in log.bounds:
        return exit_code
    try:
        summary = _summary(session, evidence)._replace(snapshot_count=snapshots)
        summary, bundle = _signed(summary, session, evidence)
        damage = conclude(paths.state_root(session.environ), summary, log=log, bundle=bundle)
    except (NonoError, OSError, ValueError) as error:
        consequence = "" if exit_code else ". The command has succeeded; nono exits with 1 for this"
        session.tell_failure(f"the session cannot be verified later: {in_words(error)}{consequence}")
        return exit_code or 1
    if damage is not None:
        session.tell_failure(damage)
    is_whole = evidence.tree_before is None or len(summary.merkle_roots) == 2
    return exit_code if damage is None and is_whole else exit_code or 1


def _summary(session: Session, evidence: Evidence) -> Summary:
    assert session.log is not None
    summary = summary_of(session.log)._replace(
        tracked_paths=evidence.tracked_paths, executable_identity=evidence.executable
    )
    if not evidence.proving.has_integrity:
        summary = summary._replace(audit_integrity=None)
    roots = (evidence.tree_before, evidence.tree_after)
    return summary._replace(merkle_roots=tuple(root for root in roots if root is not None))


def _signed(summary: Summary, session: Session, evidence: Evidence) -> tuple[Summary, bytes | None]:
    if evidence.signer is None:
        return summary, None
    # Imported here, as above.
    from nono.audit.proof.attestation import attested
    from nono.audit.stored import digest_of_file

    log = session.log
    assert log is not None
    policy: Any = log.bounds["session_started"].get("redaction_policy")
    log_sha256 = digest_of_file(dirname(log.path), basename(log.path))
    return attested(summary, policy, log_sha256 or "", evidence.signer)


def _tree(directories: tuple[str, ...], seen: Sequence[Tree], warn: Warn) -> str:
    # Imported here: few runs hash a tree.
    from nono.launch.record.hashed import TooLargeError, tree_root

    try:
        found = tree_root(directories, seen)
    except TooLargeError as error:
        raise NonoError(
            f"the writable directories hold {error}, which is too much to hash for --audit-integrity",
            hint="grant a smaller directory, or leave it out",
        ) from error
    if found.unreadable:
        # Imported here: nearly every run can read its files.
        from nono.amounts import several

        what = several(found.unreadable, "unreadable file or directory", "unreadable files or directories")
        warn(f"--audit-integrity does not cover {what}")
    return found.root


def _executable(program: str) -> Executable | None:
    """Return the program that is about to start, in its present state."""
    # Imported here, as above.
    from hashlib import file_digest
    from os.path import realpath

    path = realpath(program)
    try:
        with open(path, "rb") as file:
            return Executable(path, file_digest(file, "sha256").hexdigest())
    except OSError:
        return None  # an executable program may be unreadable
