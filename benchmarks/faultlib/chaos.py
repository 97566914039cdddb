"""Everything at once: programs are killed every few seconds while many paintings are painted."""

import time

from benchmarks.faultlib.rounds import Round
from transfer.settings import Rendition
from webapp.models import State

_PAINTINGS = 200
_FEW_PAINTINGS = 12
_LONG_EDGE_PX = 64
_BATCH = 5
"""Ordered at once, between two kills."""
_BETWEEN_KILLS_S = (1.0, 5.0)
_LONGEST_S = 900.0
_AFTERWARDS_S = 60.0
"""Within this all is over once nothing is killed any more."""


def chaos(stage: Round) -> None:
    """Workers, Redis and web are SIGKILLed in turn, at random, until all paintings ended."""
    site = stage.site
    programs = [*site.workers, site.redis, site.web]
    kills = dict.fromkeys((program.name for program in programs), 0)
    to_order = _PAINTINGS if stage.is_full else _FEW_PAINTINGS
    deadline = time.monotonic() + _LONGEST_S
    while time.monotonic() < deadline:
        for _ in range(min(_BATCH, to_order)):
            public_id = stage.order(
                stage.rng.randrange(2), colors=[Rendition.STYLED], long_edge_px=_LONG_EDGE_PX
            )
            # Whose worker was killed three times over is given up, and says so.
            stage.expected[public_id] = {State.DONE, State.FAILED}
            to_order -= 1
        if stage.wait_for_end(stage.rng.uniform(*_BETWEEN_KILLS_S)) and not to_order:
            break
        victim = stage.rng.choice(programs)
        victim.kill()
        kills[victim.name] += 1
    if not stage.wait_for_end(_AFTERWARDS_S):
        stage.note(f"not all had ended {_AFTERWARDS_S:.0f} s after the last kill")
    states = [(site.painting(public_id) or {}).get("state") for public_id in stage.expected]
    told = ", ".join(f"{name} {count}" for name, count in kills.items())
    stage.note(f"killed: {told}; {states.count('done')} done, {states.count('failed')} failed")
