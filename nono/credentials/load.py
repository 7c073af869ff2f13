"""Load a credential and a phantom for each service of a run, or the reason why they are missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from nono.audit.event import Event
from nono.audit.redact import USUAL, Redaction
from nono.credentials import resolver
from nono.credentials.phantom import Phantom, make_phantom
from nono.credentials.run_references import references_of
from nono.credentials.sources import environment
from nono.credentials.static import StaticCredential
from nono.credentials.values.credential import Credential
from nono.credentials.values.errors import CredentialNotFound, CredentialUnavailable
from nono.credentials.values.injection import injection_of
from nono.credentials.values.reference import (
    CredentialReference,
    EnvironmentReference,
    StoredReference,
    parse_reference,
)
from nono.credentials.values.tripwire import tripwire_for, unwatched_warning
from nono.errors import CredentialError
from nono.named_tuple import NamedTuple
from nono.policy.builtin.shipped import readers_of_variables
from nono.policy.schema.route_rules import AwsAuth, Capture, OAuth2Client
from nono.policy.services.credential_service import CredentialService
from nono.printable import shell_word
from nono.secret import Secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from nono.credentials.oauth2.credential import Post
else:
    Protocol = object  # typing takes 2 ms to import


class Loaded(NamedTuple):
    """A credential to send upstream, and the phantom that the command holds instead."""

    credential: Credential
    phantom: Phantom


class KeyPrompt(Protocol):
    """Asks the person for a key that was found nowhere."""

    def may_use(self, service: str, variable: str) -> bool:
        """Ask to use the key in a variable of nono's own environment."""

    def key(self, service: str) -> Secret | None:
        """Ask for the key and offer to store it; None if there is none."""


class Missing(NamedTuple):
    """A missing credential. The command gets no phantom, and the route answers 503."""

    code: str  # "credential_not_found", "credential_unavailable" or a more exact one
    message: str
    hint: str | None


class LoadedService(NamedTuple):
    service: CredentialService
    outcome: Loaded | Missing
    warnings: tuple[str, ...]  # sentences about a credential that was read but could be kept better
    same_key: frozenset[str] = frozenset()  # the other services of the run with the same reference and key


class Loader(NamedTuple):
    """Everything needed to load a run's credentials. `report` records the runs of credential commands.

    prompt: asks the person for what is missing; None if nobody can be asked.
    """

    environ: Mapping[str, str]
    post: Post
    report: Callable[[Event], None]
    redaction: Redaction = USUAL
    session_id: str = ""  # passed to such a command
    prompt: KeyPrompt | None = None
    key_of_ends: Secret | None = None  # for the ends of phantoms; None: phantoms are completely random
    # Takes a service and a command line that is run for its key. Raises NonoError if the sandboxed command
    # could change what is run.
    check_program: Callable[[str, Sequence[str]], None] = lambda service, command: None

    def load(self, services: Sequence[CredentialService]) -> list[LoadedService]:
        """Return one result per service, in order. Blocks like resolver.resolve_credential.

        Raises CredentialError if a reference, header or format is malformed, which nothing later can repair.
        All references are parsed before the first is read, so that nobody unlocks a keyring for a run that
        cannot start.
        """
        references = [references_of(service) for service in services]
        loaded = [self._load(*each) for each in zip(services, references, strict=True)]
        return [each._replace(same_key=_same_key(each, loaded)) for each in loaded]

    def _load(self, service: CredentialService, references: list[CredentialReference]) -> LoadedService:
        warnings: list[str] = []
        try:
            credential = self._credential(service, references, warnings)
        except (CredentialNotFound, CredentialUnavailable) as error:
            hint = self._remedy(service, references) or error.hint
            return LoadedService(service, Missing(error.code, error.message, hint), tuple(warnings))
        phantom = make_phantom(service.name, self.key_of_ends)
        return LoadedService(service, Loaded(credential, phantom), tuple(warnings))

    def _credential(
        self, service: CredentialService, references: list[CredentialReference], warnings: list[str]
    ) -> Credential:
        match service.oauth2 or service.aws or service.capture:
            # Each is imported where it is needed, because few runs have one.
            case OAuth2Client() as client:
                from nono.credentials.oauth2.credential import OAuth2Credential

                client_id, secret = (self._read(reference, warnings) for reference in references)
                return OAuth2Credential(
                    client.token_url,
                    client_id,
                    secret,
                    post=self.post,
                    scope=client.scope,
                    auth_method=client.auth_method,
                    inject=service.inject,
                )
            case AwsAuth() as auth:
                from nono.credentials.aws.credential import AwsCredential

                return AwsCredential(auth, self.environ, partial(self.check_program, service.name))
            case Capture() as capture:
                from nono.credentials.capture.credential import CommandCapture

                return CommandCapture(
                    capture,
                    service.inject,
                    self.environ,
                    self.report,
                    session_id=self.session_id,
                    redaction=self.redaction,
                )
            case None:
                return _static(service, self._key(service, references[0], warnings), warnings)

    def _key(self, service: CredentialService, reference: CredentialReference, warnings: list[str]) -> Secret:
        """Read the key; if it is missing, try other places and ask."""
        try:
            return self._read(reference, warnings)
        except (CredentialNotFound, CredentialUnavailable):
            key = self._stored(service, reference, warnings) or self._asked_for(service)
            if key is None:
                raise
            return key

    def _stored(
        self, service: CredentialService, reference: CredentialReference, warnings: list[str]
    ) -> Secret | None:
        """Return the stored key of a service whose variable is unset, or else its login made inside.

        Raises CredentialUnavailable if the store of logins cannot be used.
        """
        if not isinstance(reference, EnvironmentReference) or self.environ.get(reference.name):
            return None
        for name in dict.fromkeys((service.name, _name_of_reader(service, reference))):
            with suppress(CredentialError):
                return self._read(parse_reference(name), warnings)
        # Imported here, as below: few services have such a login.
        from nono.credentials.logins.service_key import login_key

        return login_key(service.name, str(service.upstream), self.environ)

    def _asked_for(self, service: CredentialService) -> Secret | None:
        if self.prompt is None or service.is_optional:
            return None
        for variable in service.env_vars:
            if self.environ.get(variable) and self.prompt.may_use(service.name, variable):
                return environment.read(EnvironmentReference(variable), self.environ)
        return self.prompt.key(service.name)

    def _read(self, reference: CredentialReference, warnings: list[str]) -> Secret:
        return resolver.read(reference, self.environ, warnings.append)

    def _remedy(self, service: CredentialService, references: list[CredentialReference]) -> str | None:
        """Return how to supply a missing key, including from the environment if it is there."""
        match references:
            case [StoredReference(name)]:
                upper = name.upper().replace("-", "_")
                candidates = (*service.env_vars, upper, f"{upper}_API_KEY", f"{upper}_TOKEN")
                variable = next((candidate for candidate in candidates if self.environ.get(candidate)), None)
                if variable is not None:
                    return (
                        f"{variable} is set in this environment, but service '{service.name}' uses the "
                        f"stored credential '{name}'; store it with: "
                        f"printenv {variable} | nono credential set {shell_word(name)}"
                    )
            case [EnvironmentReference(name)]:
                from nono.credentials.logins.service_key import program_of

                program = program_of(service.name)
                reader = _name_of_reader(service, EnvironmentReference(name))
                alike = (each for each, its_reader in readers_of_variables().items() if its_reader == reader)
                variable = next(
                    (each for each in (*service.env_vars, *alike) if self.environ.get(each)), None
                )
                if variable is not None:
                    return (
                        f"{variable} is set in this environment, but service '{service.name}' reads {name}: "
                        f'export {name}="${variable}"'
                    )
                stored = f"nono credential set {shell_word(reader)}, or export {name}"
                if program is None:
                    return f"{stored}{_elsewhere(reader, program_of(reader))}"
                return f"{stored}, or log in with nono run --profile {program} -- {program} auth login"
        return None


def _elsewhere(service: str, program: str | None) -> str:
    """Say where the logins of a program count, for somebody who has one and is told that there is no key."""
    if program is None:
        return ""
    imported = f"one made outside is taken by nono credential import {program}"
    return f"; a login of {program} made inside is for '{service}' only, {imported}"


def _name_of_reader(service: CredentialService, reference: EnvironmentReference) -> str:
    """Return the shipped service that reads the same variable; the name of this one if there is none.

    Under that name a key is usually stored, so that one key serves `github` and git at github.com.
    """
    return readers_of_variables().get(reference.name, service.name)


def _same_key(own: LoadedService, every: Sequence[LoadedService]) -> frozenset[str]:
    """Return the others that have the same reference, and found the same key by it.

    Not those whose keys are alike by chance: each phantom stands for what its service was given.
    """
    key, reference = _static_key(own), own.service.credential_key
    others = (each for each in every if each is not own and each.service.credential_key == reference)
    return frozenset(each.service.name for each in others if key is not None and _static_key(each) == key)


def _static_key(loaded: LoadedService) -> Secret | None:
    credential = loaded.outcome.credential if isinstance(loaded.outcome, Loaded) else None
    return credential.key if isinstance(credential, StaticCredential) else None


def _static(service: CredentialService, secret: Secret, warnings: list[str]) -> StaticCredential:
    injection = injection_of(service.inject, secret)
    is_basic = service.inject.mode == "basic_auth"
    unwatched = unwatched_warning([secret], basic=is_basic)
    if unwatched is not None and service.tripwire:
        warnings.append(f"'{service.name}': {unwatched}")
    return StaticCredential(injection, tripwire_for([secret], basic=is_basic), secret)
