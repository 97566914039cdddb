import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer.planning.robust_fit import Coefficient, Observation, fit, predict

PRIORS = (
    Coefficient(1.0, 1.0),
    Coefficient(2.0, 1.0, is_shared=True),
    Coefficient(20.0, 1.0, is_shared=True),
)


def observe(coefficients: tuple[float, ...], *counts: tuple[float, ...]) -> list[Observation]:
    return [Observation(row, predict(coefficients, row)) for row in counts]


def test_without_observations_coefficients_stay_as_they_are() -> None:
    assert fit(PRIORS, []) == pytest.approx((1.0, 2.0, 20.0))


@given(
    coefficients=st.tuples(*[st.floats(0.2, 5.0)] * 3),
    speed=st.floats(1e-3, 1e3),
)
def test_coefficients_are_found_however_fast_the_device(
    coefficients: tuple[float, float, float], speed: float
) -> None:
    true = coefficients[0], speed * coefficients[1], 10 * speed * coefficients[2]
    many = observe(true, (1e5, 1, 0), (1, 1e5, 0), (1, 0, 1e5), (1, 1e5, 1e4)) * 4

    assert fit(PRIORS, many, common_log_std=3.0) == pytest.approx(true, rel=0.1)


def test_one_shared_coefficient_informs_the_other() -> None:
    # A device a thousand times as fast: the last coefficient was not observed.
    fast = observe((1.0, 2e-3, 2e-2), (0, 1e6, 0)) * 3

    _, second, third = fit(PRIORS, fast, common_log_std=3.0)

    assert second == pytest.approx(2e-3, rel=0.05)
    # Somewhat undecided, as the last coefficient may differ by itself.
    assert 1e-2 < third < 1e-1
    assert fit(PRIORS, fast)[2] == pytest.approx(20.0, rel=1e-3)


def test_weights_decide_between_two_machines() -> None:
    old = [Observation((0.0, 1.0, 0.0), 8.0, weight=0.1)] * 20
    new = [Observation((0.0, 1.0, 0.0), 2.0)] * 4

    assert fit(PRIORS, [*new, *old], common_log_std=3.0)[1] == pytest.approx(2.0, rel=0.15)


@given(
    invalid=st.lists(
        st.tuples(
            st.sampled_from([0.0, -1.0, 1e-300, 1e300, math.nan, math.inf, -math.inf, 5.0]),
            st.sampled_from([0.0, -1.0, 1e-300, 1e300, math.nan, math.inf, 5.0]),
            # So much that nothing else counts: of the linear equations only one is left.
            st.sampled_from([0.0, math.nan, 1.0, 1e17]),
        ),
        max_size=6,
    )
)
def test_invalid_observations_leave_coefficients_that_are_numbers(
    invalid: list[tuple[float, float, float]],
) -> None:
    bad = [Observation((count, count, 1.0), total, weight) for count, total, weight in invalid]

    coefficients = fit(PRIORS, bad, common_log_std=3.0)

    assert all(0.0 < value < math.inf for value in coefficients)


@given(outlier=st.sampled_from([1e-9, 1e-3, 1e3, 1e9]))
def test_an_outlier_does_not_spoil_the_fit(outlier: float) -> None:
    good = observe((1.0, 4.0, 40.0), (1, 1, 0), (1, 3, 0), (1, 9, 0), (1, 2, 1), (1, 0, 3))

    coefficients = fit(PRIORS, [*good, Observation((1.0, 5.0, 0.0), outlier)], common_log_std=3.0)

    for observation in good:
        assert predict(coefficients, observation.counts) == pytest.approx(
            observation.total, rel=0.1
        )
