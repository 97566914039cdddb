"""Report of the quality benchmark, as text, as Markdown and as data."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, median, pstdev

from benchmarks.common.pairs import Pair
from benchmarks.common.table import DISTURBED, DISTURBED_LEGEND, Table
from benchmarks.qualitylib.curves import style_at
from benchmarks.qualitylib.distances import Distances
from benchmarks.qualitylib.engines import Engine, Ours
from benchmarks.qualitylib.store import StoredPainting
from transfer.settings import Effort

EARLIER, EXTRAPOLATED = "†", "~"
LEGEND = (
    "Times are those of the whole command, from its start to the finished file.",
    f"{EARLIER} timed in an earlier run.",
    DISTURBED_LEGEND,
    f"{EXTRAPOLATED} extrapolated: the peer's content distance lies outside our curve.",
)


@dataclass(frozen=True)
class Result:
    """A painting and its distances."""

    pair: Pair
    engine: Engine
    stored: StoredPainting
    distances: Distances


@dataclass(frozen=True)
class Comparison:
    """One of our efforts beside a peer, on one pair, at the peer's content distance."""

    pair: str
    effort: Effort
    peer: str
    content: float
    peer_style: float
    style: float
    is_extrapolated: bool

    @property
    def is_below(self) -> bool:
        """True if ours is closer to the style."""
        return self.style < self.peer_style


def comparisons(results: Sequence[Result]) -> list[Comparison]:
    """Compare every effort with every peer on every pair that has enough strengths."""
    found = []
    for theirs in _peer_results(results):
        for effort in Effort:
            curve = [
                result.distances
                for result in results
                if result.pair == theirs.pair
                and _effort(result.engine) is effort
                and _strength(result.engine) is not None
            ]
            if ours := style_at(curve, theirs.distances.content):
                found.append(
                    Comparison(
                        theirs.pair.name,
                        effort,
                        theirs.engine.name,
                        theirs.distances.content,
                        theirs.distances.style,
                        ours.style,
                        ours.is_extrapolated,
                    )
                )
    return found


def summary(found: Sequence[Comparison]) -> list[str]:
    """Return a sentence for each effort and peer."""
    sentences = []
    for effort, peer in dict.fromkeys((one.effort, one.peer) for one in found):
        chosen = [one for one in found if (one.effort, one.peer) == (effort, peer)]
        below = sum(one.is_below for one in chosen)
        guessed = sum(one.is_extrapolated for one in chosen)
        sentence = (
            f"{effort}: below {peer} on {below} of {len(chosen)} pairs at equal content distance, "
            f"style distance {mean(one.style for one in chosen):.3f} against "
            f"{mean(one.peer_style for one in chosen):.3f} on average"
        )
        sentences.append(f"{sentence}{f', {guessed} of them extrapolated' * bool(guessed)}.")
    return sentences


def tables(results: Sequence[Result]) -> dict[str, Table]:
    """Return the tables by title: all figures, at equal content distance, spread and cost."""
    found = {"Paintings": _paintings(results)}
    if compared := comparisons(results):
        found["Style distance at the peer's content distance"] = _comparison_table(compared)
    if len({result.pair for result in results}) > 1:
        found["Over the pairs"] = _spread(results)
    found["Per painting"] = _cost(results)
    return found


def as_text(title: str, results: Sequence[Result]) -> str:
    """Format for the terminal."""
    parts = [title, *(f"{name}\n{table.text()}" for name, table in tables(results).items())]
    return "\n\n".join([*parts, "\n".join(LEGEND), *summary(comparisons(results))])


def as_markdown(title: str, results: Sequence[Result]) -> str:
    """Format as a page of Markdown."""
    parts = [f"# {title}"]
    parts += [f"- {sentence}" for sentence in summary(comparisons(results))]
    parts += [f"## {name}\n\n{table.markdown()}" for name, table in tables(results).items()]
    return "\n\n".join([*parts, "  \n".join(LEGEND)]) + "\n"


def as_data(results: Sequence[Result]) -> dict[str, object]:
    """Return data for JSON."""
    compared = comparisons(results)
    return {
        "paintings": [
            {
                "pair": result.pair.name,
                "engine": result.engine.name,
                "effort": _effort(result.engine),
                "strength": _strength(result.engine),
                "style_distance": result.distances.style,
                "content_distance": result.distances.content,
                "evaluations": result.stored.evaluations,
                **asdict(result.stored.took),
                "is_disturbed": result.stored.took.is_disturbed,
                "is_earlier": result.stored.is_earlier,
                "picture": str(result.stored.picture),
            }
            for result in results
        ],
        "comparisons": [{**asdict(one), "is_below": one.is_below} for one in compared],
        "summary": summary(compared),
    }


def _paintings(results: Sequence[Result]) -> Table:
    peers = list(dict.fromkeys(result.engine.name for result in _peer_results(results)))
    figures = ("style", "content", "wall s", "CPU s", "evaluations")
    heading = ["pair", "effort", "strength", *figures]
    heading += [f"{peer} {figure}" for peer in peers for figure in figures]
    rows = []
    for pair in dict.fromkeys(result.pair for result in results):
        of_pair = [result for result in results if result.pair == pair]
        theirs = {result.engine.name: result for result in _peer_results(of_pair)}
        beside = [figure for peer in peers for figure in _figures(theirs[peer])]
        ours = [(result, result.engine) for result in of_pair if isinstance(result.engine, Ours)]
        for result, engine in ours:
            names = (str(engine.effort), engine.column)
            rows.append((pair.name, *names, *_figures(result), *beside))
        if not ours:
            rows.append((pair.name, *["-"] * (2 + len(figures)), *beside))
    return Table(tuple(heading), tuple(rows), 2)


def _figures(result: Result) -> tuple[str, ...]:
    took = result.stored.took
    return (
        f"{result.distances.style:.3f}",
        f"{result.distances.content:.3f}",
        f"{took.wall_s:.1f}{_marks([result])}",
        f"{took.cpu_s:.1f}",
        str(result.stored.evaluations),
    )


def _comparison_table(found: Sequence[Comparison]) -> Table:
    efforts = list(dict.fromkeys(one.effort for one in found))
    rows = []
    for pair, peer in dict.fromkeys((one.pair, one.peer) for one in found):
        ours = {one.effort: one for one in found if (one.pair, one.peer) == (pair, peer)}
        theirs = next(iter(ours.values()))
        style = (_style(ours.get(effort)) for effort in efforts)
        rows.append((pair, peer, f"{theirs.content:.3f}", f"{theirs.peer_style:.3f}", *style))
    heading = ("pair", "peer", "its content", "its style", *map(str, efforts))
    return Table(heading, tuple(rows), 2)


def _style(ours: Comparison | None) -> str:
    # Without a comparison all strengths came out equally far from the content.
    return f"{EXTRAPOLATED * ours.is_extrapolated}{ours.style:.3f}" if ours else "-"


def _spread(results: Sequence[Result]) -> Table:
    """Tabulate each column's mean and deviation over the pairs."""
    by_name: dict[str, list[Distances]] = {}
    for result in results:
        by_name.setdefault(result.engine.name, []).append(result.distances)
    rows = []
    for name, those in by_name.items():
        contents = [one.content for one in those]
        apart = pstdev(contents)
        style = f"{mean(one.style for one in those):.3f}"
        figures = (f"{mean(contents):.3f}", f"{apart:.3f}", f"{apart / mean(contents):.1%}")
        rows.append((name, style, *figures))
    heading = ("who", "mean style", "mean content", "its deviation", "relative")
    return Table(heading, tuple(rows), 1)


def _cost(results: Sequence[Result]) -> Table:
    by_name: dict[str, list[Result]] = {}
    for result in results:
        by_name.setdefault(_effort(result.engine) or result.engine.name, []).append(result)
    rows = []
    for name, those in by_name.items():
        took = [result.stored.took for result in those]
        rows.append(
            (
                name,
                str(len(those)),
                f"{median(one.wall_s for one in took):.1f}{_marks(those)}",
                f"{median(one.cpu_s for one in took):.1f}",
                f"{median(result.stored.evaluations for result in those):g}",
                f"{max(one.peak_bytes for one in took) / 1e9:.2f}",
            )
        )
    figures = ("paintings", "median wall s", "median CPU s", "median evaluations", "most memory GB")
    return Table(("who", *figures), tuple(rows), 1)


def _marks(results: Iterable[Result]) -> str:
    stored = [result.stored for result in results]
    is_earlier = any(one.is_earlier for one in stored)
    return EARLIER * is_earlier + DISTURBED * any(one.took.is_disturbed for one in stored)


def _peer_results(results: Iterable[Result]) -> list[Result]:
    return [result for result in results if not isinstance(result.engine, Ours)]


def _effort(engine: Engine) -> Effort | None:
    return engine.effort if isinstance(engine, Ours) else None


def _strength(engine: Engine) -> float | None:
    if not isinstance(engine, Ours) or engine.content_weight is not None:
        return None
    return engine.strength
