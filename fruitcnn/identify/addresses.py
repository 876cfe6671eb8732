"""Addresses among the arguments of the command line: told from paths, and shown without their secrets."""

import re

# A user and a password before the host; the second also where the password has characters that it must not have.
_USER = re.compile(r"(?i)^([a-z][a-z0-9+.-]*://)(?:[^/?#]*@|[^/?#@\[]*:(?!\d*(?:[/?#]|$)).*@)")
# Names in a query whose values let whoever reads them in.
_SECRET = re.compile(r"(?i)([?&][^=&]*(?:sig|token|key|secret|pass|auth|credential)[^=&]*=)[^&#]+")


def is_address(argument: str) -> bool:
    """Whether an argument is an address to fetch; no other scheme than http and https is one."""
    return argument[:8].lower().startswith(("http://", "https://"))


def shown_address(address: str) -> str:
    """The address as it may be shown: no user, no password, no value of the query that is named like a secret."""
    return _SECRET.sub(r"\1...", _USER.sub(r"\1", address))
