import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer.planning.robust_fit import Coefficient, Observation, fit, predict

PARTS = (
    Coefficient(1.0, 1.0),
    Coefficient(2.0, 1.0, shares=True),
    Coefficient(20.0, 1.0, shares=True),
)


def seen(prices: tuple[float, ...], *counts: tuple[float, ...]) -> list[Observation]:
    return [Observation(one, predict(prices, one)) for one in counts]


def test_without_observations_prices_stay_as_they_are() -> None:
    assert fit(PARTS, []) == pytest.approx((1.0, 2.0, 20.0))


@given(
    prices=st.tuples(*[st.floats(0.2, 5.0)] * 3),
    speed=st.floats(1e-3, 1e3),
)
def test_prices_are_found_however_fast_the_device(
    prices: tuple[float, float, float], speed: float
) -> None:
    true = prices[0], speed * prices[1], 10 * speed * prices[2]
    many = seen(true, (1e5, 1, 0), (1, 1e5, 0), (1, 0, 1e5), (1, 1e5, 1e4)) * 4

    assert fit(PARTS, many, common_doubt=3.0) == pytest.approx(true, rel=0.1)


def test_one_sharing_part_tells_of_the_other() -> None:
    # A device a thousand times as fast: nothing was seen of the last part.
    fast = seen((1.0, 2e-3, 2e-2), (0, 1e6, 0)) * 3

    _, second, third = fit(PARTS, fast, common_doubt=3.0)

    assert second == pytest.approx(2e-3, rel=0.05)
    # Somewhat undecided, as the last part may differ by itself.
    assert 1e-2 < third < 1e-1
    assert fit(PARTS, fast)[2] == pytest.approx(20.0, rel=1e-3)


def test_weight_decides_between_two_machines() -> None:
    old = [Observation((0.0, 1.0, 0.0), 8.0, weight=0.1)] * 20
    new = [Observation((0.0, 1.0, 0.0), 2.0)] * 4

    assert fit(PARTS, [*new, *old], common_doubt=3.0)[1] == pytest.approx(2.0, rel=0.15)


@given(
    nonsense=st.lists(
        st.tuples(
            st.sampled_from([0.0, -1.0, 1e-300, 1e300, math.nan, math.inf, -math.inf, 5.0]),
            st.sampled_from([0.0, -1.0, 1e-300, 1e300, math.nan, math.inf, 5.0]),
            # So much that nothing else counts: of the linear equations only one is left.
            st.sampled_from([0.0, math.nan, 1.0, 1e17]),
        ),
        max_size=6,
    )
)
def test_nonsense_leaves_prices_that_are_numbers(
    nonsense: list[tuple[float, float, float]],
) -> None:
    bad = [Observation((count, count, 1.0), taken, weight) for count, taken, weight in nonsense]

    prices = fit(PARTS, bad, common_doubt=3.0)

    assert all(0.0 < price < math.inf for price in prices)


@given(outlier=st.sampled_from([1e-9, 1e-3, 1e3, 1e9]))
def test_what_lies_far_off_is_outvoted(outlier: float) -> None:
    good = seen((1.0, 4.0, 40.0), (1, 1, 0), (1, 3, 0), (1, 9, 0), (1, 2, 1), (1, 0, 3))

    prices = fit(PARTS, [*good, Observation((1.0, 5.0, 0.0), outlier)], common_doubt=3.0)

    for one in good:
        assert predict(prices, one.counts) == pytest.approx(one.record_success, rel=0.1)
