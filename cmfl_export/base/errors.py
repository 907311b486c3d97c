"""The errors that a person can act on."""


class CmflError(Exception):
    """Wrong usage or an unusable file. The message is one line: what is wrong, where, what to do.

    The command line prints it and exits with code 2.
    """


def need(extra: str, why: str) -> CmflError:
    """The error for a missing optional dependency: names the extra that brings it."""
    return CmflError(f"{why} needs packages that are not installed; run: pip install 'cmfl-export[{extra}]'")
