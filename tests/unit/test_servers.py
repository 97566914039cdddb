import pytest

from tests.servers import wait_until


def test_wait_ends_with_the_value() -> None:
    values = iter([0, None, 7])

    assert wait_until(lambda: next(values), 5, "never") == 7


def test_wait_fails_with_the_last_value() -> None:
    with pytest.raises(AssertionError, match=r"painted: not within 0 s; last seen: \[\]"):
        wait_until(list, 0, "painted")
