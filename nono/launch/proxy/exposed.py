"""Find variables and arguments of a command that contain a key loaded by its run, with the tripwire."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from nono.audit import event
from nono.credentials.load import Loaded, LoadedService
from nono.credentials.values.credential import LeakDetector, detectors
from nono.credentials.values.proxy_authorization import ProxyAuthorization
from nono.credentials.values.tripwire import tripwire_for
from nono.errors import NonoError
from nono.launch.proxy.assembly import Assembly
from nono.launch.session import Session
from nono.named_tuple import NamedTuple
from nono.policy.environment.inheritance import Withheld
from nono.policy.environment.secret_names import says_secret
from nono.policy.environment.secret_values import key_arguments
from nono.secret import Secret

LOADED_KEY = "loaded_key"


class LoadedKeys(NamedTuple):
    """The keys of one run, by service. Recognises them without revealing them."""

    detectors: tuple[tuple[str, LeakDetector], ...]

    def holder(self, text: str) -> str | None:
        """Return the service whose key `text` contains, in any spelling that the tripwire knows."""
        octets = os.fsencode(text)
        return next((name for name, detector in self.detectors if detector.occurs_in(octets)), None)

    def withheld(self, variables: Mapping[str, str]) -> tuple[Withheld, ...]:
        """Return the variables that contain a key, by name."""
        if not self.detectors or self.holder("\0".join(variables.values())) is None:
            return ()
        holders = ((name, self.holder(variables[name])) for name in sorted(variables))
        return tuple(
            Withheld(name, LOADED_KEY, f"it holds the key of '{holder}'")
            for name, holder in holders
            if holder is not None
        )


def loaded_keys(assembly: Assembly) -> LoadedKeys:
    """Return the keys that the proxy of a run has loaded. Keys fetched later are not included."""
    found: list[tuple[str, LeakDetector]] = []
    for service in assembly.services:
        found += ((service.service.name, each) for each in _detectors(service, assembly.session.environ))
    behind = assembly.upstream_proxy
    if behind is not None and isinstance(behind.authorization, ProxyAuthorization):
        detector = tripwire_for([behind.authorization.secret], basic=True)
        found += [("upstream_proxy", detector)] if detector is not None else []
    return LoadedKeys(tuple(found))


def withhold(
    keys: LoadedKeys, variables: Mapping[str, str], handed_out: Mapping[str, str], session: Session
) -> tuple[Withheld, ...]:
    """Return the variables to drop because they contain a loaded key, after a warning and a record.

    handed_out: Credentials for the command itself. Raises NonoError if a route withholds one of them.
    """
    for each in keys.withheld(handed_out):
        raise NonoError(
            f"{each.name} would hand out a credential that the command may not have: {each.reason}.",
            hint="leave out the env_credential or the service",
        )
    found = keys.withheld(variables)
    if found:
        session.record(event.variables_withheld({each.name: each.rule for each in found}))
    for each in found:
        session.warn(f"{each.name} is withheld from the command: {each.reason}")
    return found


def warn_of_arguments(keys: LoadedKeys, argv: Sequence[str], session: Session) -> None:
    """Warn of a key on the command line, where the command and every process of this machine can read it.

    Says nothing of an argument that has the shape of a key, of which the summary has warned already.
    """
    told = frozenset(key_arguments(argv))
    others = (text for number, text in enumerate(argv) if number not in told)
    for name in dict.fromkeys(filter(None, map(keys.holder, others))):
        session.warn(
            f"the command line holds the key of '{name}': the command and other processes can read it there"
        )


def _detectors(loaded: LoadedService, environ: Mapping[str, str]) -> Iterator[LeakDetector]:
    """Yield detectors for the keys of a service, including keys that it will load from the environment."""
    if isinstance(loaded.outcome, Loaded):
        yield from detectors(loaded.outcome.credential)
    for variable in loaded.service.source_variables if loaded.service.aws is not None else ():
        if says_secret(variable, value := environ.get(variable, "")) and variable != "AWS_ACCESS_KEY_ID":
            detector = tripwire_for([Secret(value)])
            if detector is not None:
                yield detector
