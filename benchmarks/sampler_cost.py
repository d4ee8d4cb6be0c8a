"""Processor seconds that a sampler takes for one proposal in the tcn space, by objectives and length of the history.

The history is made up: costs from the size of the network, errors at random, so that fronts are long; about half of it
breaks the constraint. Proposals do not depend on what numbers mean, but a longer front costs a Gaussian process more.
"""

from __future__ import annotations

import random
import time

from _figures import options, report

from crest.ledger import TrialRecord
from crest.models.tcn import TCN
from crest.search.encoding import Encoding
from crest.search.sampler import Sampler
from crest.study import Policy

ENCODING = Encoding(TCN().space, ("int8", "float32"))
LIMIT_MS = 60.0
OBJECTIVES = {False: (1, 2, 3, 4), True: (2, 4)}
HISTORIES = {False: (100, 400, 1000), True: (30,)}
"""By --quick."""
LONGEST_SECONDS = 5.0
"""A sampler that takes longer is not asked at longer histories and more objectives."""


def made_up_trial(number: int, objectives: int, seed: int) -> TrialRecord:
    """A trial as a ledger holds it, without a measurement."""
    proposal = ENCODING.sample((seed, number))
    latency_ms = proposal.candidate["nb_filters"] * len(proposal.candidate["dilations"]) / 3
    chance = random.Random(f"{seed} {number}")
    values = {
        f"m{index}": chance.random() + (latency_ms / 50, 10 / latency_ms)[index % 2] for index in range(objectives)
    }
    feasible = latency_ms <= LIMIT_MS
    return TrialRecord(
        number=number,
        state="complete" if feasible else "infeasible",
        candidate=dict(proposal.candidate),
        quantization=proposal.quantization,
        target="none",
        objectives=values if feasible else {},
        violations={"latency_ms <= 60": latency_ms / LIMIT_MS - 1},
        recorded_at="",
        host="",
    )


def main() -> None:
    args = options(__doc__ or "")
    figures: dict[str, float | None] = {}
    for name in ("tpe", "gp", "nsga2", "nsga3"):
        slow: set[int] = set()
        for length in HISTORIES[args.quick]:
            for objectives in OBJECTIVES[args.quick]:
                key = f"{name}_{objectives}_objectives_history_{length}_s"
                figures[key] = None
                if any(objectives >= other for other in slow):
                    continue
                policy = Policy(minimize=tuple(f"m{index}" for index in range(objectives)))
                history = [made_up_trial(number, objectives, args.seed) for number in range(length)]
                sampler = Sampler(name, args.seed, 1, ENCODING, policy)
                # The first proposal of a process loads libraries.
                sampler.ask(10, history[:10], [])
                started = time.process_time()
                sampler.ask(length, history, [])
                figures[key] = seconds = time.process_time() - started
                if seconds > LONGEST_SECONDS:
                    slow.add(objectives)
    report(figures, args.json)


if __name__ == "__main__":
    main()
