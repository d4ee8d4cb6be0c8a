"""What a dual-issue core counts along the edges between basic blocks: pairs, waits, branches predicted wrongly."""

from __future__ import annotations

from collections import Counter
from collections.abc import ItemsView

from crest.emulators.pairing import DualIssueBlock, issue, resolves_early


class IssueCounts:
    """Sums by row over edges that are passed to ``add``."""

    def __init__(self) -> None:
        self._sums: dict[int, Counter[str]] = {}
        self._ways: dict[tuple[int, int, DualIssueBlock], list[int]] = {}

    def add(
        self,
        row: int,
        source: int,
        before: DualIssueBlock | None,
        block: DualIssueBlock,
        taken: bool,
        count: int,
        branch_row: int | None = None,
    ) -> None:
        """Count an edge.

        Args:
            row: 0 for overhead, i + 1 for layer i.
            source: address of the block before.
            before: that block; None where the window opened.
            block: the block that the edge leads to.
            taken: by a branch that was taken.
            count: how often.
            branch_row: where the branch that led here counts as mispredicted; by default with what it leads to.
        """
        paired, waits = issue(before, block, taken)
        sums = self._sums.setdefault(row, Counter())
        sums["dual_issued"] += paired * count
        sums["issue_waits"] += waits * count
        if before is not None:
            self._ways.setdefault((row if branch_row is None else branch_row, source, before), []).append(count)

    def by_row(self) -> ItemsView[int, Counter[str]]:
        """The sums, mispredictions included: a branch is predicted to go where it goes most often."""
        for (row, _, before), counts in self._ways.items():
            missed = sum(counts) - max(counts)
            if missed:
                sums = self._sums.setdefault(row, Counter())
                sums["mispredicted"] += missed
                sums["mispredicted_early"] += missed * (before.ends_conditionally and resolves_early(before))
        return self._sums.items()
