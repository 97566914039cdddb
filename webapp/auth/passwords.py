"""Password hashes: argon2id."""

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

PASSWORD_MIN_CHARS = 8
PASSWORD_MAX_CHARS = 1024
"""Upper bound that keeps a request cheap: hashing reads the whole password."""

# argon2id with the cost that OWASP's password storage cheat sheet names first: 46 MiB, one pass.
_hasher = PasswordHasher(time_cost=1, memory_cost=46 * 1024, parallelism=1)
_DUMMY_HASH = _hasher.hash("nobody has this password")


def hash_password(password: str) -> str:
    """Return the hash of a password, with its parameters and salt, to be stored."""
    return _hasher.hash(password)


def verify_password(password_hash: str | None, password: str) -> bool:
    """Return whether ``password`` has this hash; False for None, an unknown user.

    An unknown user takes as long as a wrong password: the time must not tell which names exist.
    """
    try:
        _hasher.verify(password_hash or _DUMMY_HASH, password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None
