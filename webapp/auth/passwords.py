"""How passwords are kept and compared."""

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

PASSWORD_MIN_CHARS = 8
PASSWORD_MAX_CHARS = 1024
"""Hashing reads all of it: an upper bound keeps a request cheap."""

# argon2id with the cost that OWASP's password storage cheat sheet names first: 46 MiB, one pass.
_hasher = PasswordHasher(time_cost=1, memory_cost=46 * 1024, parallelism=1)
_nobody = _hasher.hash("nobody has this password")


def hash_password(password: str) -> str:
    """The form in which a password is stored."""
    return _hasher.hash(password)


def verify_password(password_hash: str | None, password: str) -> bool:
    """Whether ``password`` is the stored one.

    None stands for an unknown user: it costs the same time, so that the clock does not tell
    which names exist.
    """
    try:
        _hasher.verify(password_hash or _nobody, password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None
