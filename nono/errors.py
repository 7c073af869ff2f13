"""The errors a person sees: one sentence about what happened, one about what to do next."""


class NonoError(Exception):
    """Ends the command with `nono: <message>` on stderr, an optional `hint: ...` line and exit_code."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(NonoError):
    """The command line itself is wrong; nothing beyond it was examined."""

    exit_code = 2


class ConfigError(NonoError):
    """A profile, a flag value or an environment variable asks for something impossible."""


class ProfileError(NonoError):
    """A profile could not be found, read or understood."""


class SandboxError(NonoError):
    """The kernel cannot enforce the policy, or refused to; nothing was started."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(f"Sandbox initialization failed: {message}", hint=hint)


class CredentialError(NonoError):
    """A credential could not be read or stored."""


class LaunchError(NonoError):
    """The command could not be started after the sandbox was drawn up (126) or executed (127)."""

    def __init__(self, message: str, *, exit_code: int = 126, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code
