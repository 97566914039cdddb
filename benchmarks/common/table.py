"""Tables of results, for a terminal and in Markdown."""

from dataclasses import dataclass

from benchmarks.common.timing import BUSY_SHARE

DISTURBED = "‡"
"""Mark of a time that is too long, as other programs were busy."""
DISTURBED_LEGEND = (
    f"{DISTURBED} other programs used more than {BUSY_SHARE:.0%} of the processor meanwhile, so the"
    " wall-clock time is too long."
)


@dataclass(frozen=True)
class Table:
    """A table with words in its first columns, and figures in the others."""

    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int
    """Number of columns with words, which are aligned at the left."""

    def text(self) -> str:
        """Format with columns as wide as their longest entry."""
        lines = [self.heading, *self.rows]
        widths = [max(len(entry) for entry in column) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(
                entry.ljust(width) if at < self.words else entry.rjust(width)
                for at, (entry, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )

    def markdown(self) -> str:
        """Format as a table of Markdown."""
        rules = ["---" if at < self.words else "---:" for at in range(len(self.heading))]
        return "\n".join(f"| {' | '.join(line)} |" for line in (self.heading, rules, *self.rows))
