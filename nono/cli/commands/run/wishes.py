"""Turn the options of a run into what it does beside the sandbox: its name, undo, log and approvals."""

from __future__ import annotations

from nono.cli.console import can_ask
from nono.errors import NonoError
from nono.sessions.names import check_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.cli.args.parse import Given
    from nono.cli.commands.run.call import Call
    from nono.cli.commands.run.prepare import CheckInstructions
    from nono.credentials.load import KeyPrompt
    from nono.launch.around.undo import UndoRequest
    from nono.launch.beside import Wishes
    from nono.launch.start import RunOptions
    from nono.outward.orders import Orders
    from nono.policy.resolve import Resolved
    from nono.policy.why.refusals import Refusals
    from nono.settings.user_config import UserConfig

_SCOPE_OF_UNDO = ("rollback_exclude", "rollback_include", "rollback_all")


def options_of_run(call: Call, config: UserConfig, resolved: Resolved) -> RunOptions:
    """Return the options of a run that shares its terminal and has no wishes."""
    from nono.cli.preferences import options_of, run_options_of

    given = call.given
    ports, name = given.ports("proxy_port"), given.value("name")
    if name is not None:
        _tell_of_namesakes(name, call)
    return run_options_of(given, config, call.console)._replace(
        as_event=options_of(given, resolved, config),
        proxy_port=ports[-1] if ports else 0,
        key_prompt=_key_prompt(call, resolved),
    )


def orders_of(call: Call, config: UserConfig) -> Orders | None:
    """Return where the audit log is sent; None: nowhere.

    Raises ConfigError or UsageError for that, or for a name that no session may have.
    """
    from nono.cli.preferences import outward

    name = call.given.value("name")
    if name is not None:
        check_name(name)
    return outward(call.given, config.audit)


def wishes_of(
    call: Call,
    config: UserConfig,
    resolved: Resolved,
    instructions: CheckInstructions | None,
    orders: Orders | None,
) -> Wishes:
    """Return what goes beside the run. Raises ConfigError for options that contradict each other.

    orders: As orders_of() returns them.
    """
    from nono.cli.preferences import proving
    from nono.launch.beside import Wishes

    return Wishes(
        proving(call.given, call.console),
        orders,
        instructions,
        _undo_request(call, resolved, config),
        notifies=config.ui.notify and not call.console.silent,
    )


def refusals_of(given: Given) -> Refusals | None:
    """Return an object that collects refused accesses; None if the run is not to be explained."""
    if not given.flag("explain"):
        return None
    # Imported here: few runs are explained.
    from nono.policy.why.refusals import Refusals

    return Refusals()


def _tell_of_namesakes(name: str, call: Call) -> None:
    """Warn if a session that runs has the name already: commands about a session refuse it from now on."""
    # Imported here: few runs are named.
    from nono.sessions.listing import open_registry, records

    try:
        registry = open_registry(call.environ)
    except NonoError:
        return  # the start says why no session can be recorded
    if registry is None:
        return
    with registry:
        running = [each.session_id for each in records(registry) if each.name == name and not each.is_ended]
    if running:
        call.console.warn(
            f"--name '{name}': session {running[0]}, which is running, has that name. While both run, "
            "`nono attach` and others take their ids only."
        )


def _key_prompt(call: Call, resolved: Resolved) -> KeyPrompt | None:
    """Return the way to ask for a missing key; None if none is needed or nobody can be asked."""
    is_needed = any(not service.is_optional for service in resolved.services)
    if not is_needed or call.invocation.silent or not can_ask():
        return None
    # Imported here: few runs need a key.
    from nono.cli.key_prompt import TerminalKeyPrompt

    return TerminalKeyPrompt(call.environ)


def _undo_request(call: Call, resolved: Resolved, config: UserConfig) -> UndoRequest | None:
    """Return how the run is to be kept for undo; None: not at all."""
    given = call.given
    if not given.flag("rollback"):
        if not given.flag("no_rollback"):
            for dest in filter(given.values.__contains__, _SCOPE_OF_UNDO):
                call.console.warn(f"--{dest.replace('_', '-')}: nothing is kept for undo without --rollback.")
        return None
    # Imported here, as below: few runs are kept.
    from nono.cli.commands.rollback.of_run import undo_request

    return undo_request(given, resolved, config)
