import pytest

from webapp.auth.passwords import hash_password, verify_password


def test_only_the_same_password_matches() -> None:
    password_hash = hash_password("a short sentence")

    assert verify_password(password_hash, "a short sentence")
    for other in ("a short sentencE", "a short sentence ", "", password_hash):
        assert not verify_password(password_hash, other)


def test_same_password_has_another_hash_each_time() -> None:
    assert hash_password("a short sentence") != hash_password("a short sentence")


# The password of the hash that stands in for an unknown user must not open an account.
@pytest.mark.parametrize("password", ["", "nobody has this password"])
def test_unknown_user_has_no_password(password: str) -> None:
    assert not verify_password(None, password)


@pytest.mark.parametrize("stored", ["none", "$argon2id$v=19$m=47104,t=1,p=1$", "$2b$12$abc"])
def test_unreadable_hash_matches_nothing(stored: str) -> None:
    assert not verify_password(stored, "a short sentence")
