"""The refusals and warnings that jaxal raises: each message says what, where, how many, and what to do."""


class JaxalError(Exception):
    """Base of every refusal that jaxal raises on purpose; the command line prints its message and no traceback."""

    exit_code = 1


class ConfigError(JaxalError, ValueError):
    """A command line or a config that cannot be understood (exit code 2)."""

    exit_code = 2


class InputError(JaxalError, ValueError):
    """An argument that was understood but is refused; the message names the argument."""


class DataError(JaxalError):
    """Data that is missing, unreadable or does not fit its config."""


class StoreError(JaxalError):
    """A run folder that cannot be used: locked, damaged, or of another config."""


class ProcessError(JaxalError):
    """Processes of one run that do not fit together, or of which another one has ended."""


class SelectionWarning(UserWarning):
    """A selection that fell back to another rule, or found fewer samples than were asked for."""
