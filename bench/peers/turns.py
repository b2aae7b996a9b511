"""Two programs in turns, A B A B ..., and what their paired ratios say.

A machine's speed drifts by more than two good programs differ, so neither side's figure is compared with one that was
taken at another time: a turn measures one side and then at once the other, and the figure is the median of the turns'
ratios with its 95 % interval.
"""
import math
import statistics
import sys
from dataclasses import dataclass, field
from typing import Callable


class Unavailable(Exception):
    """What a case needs is not there; the text says what, and how to get it."""


@dataclass
class Case:
    """One row of the table. `ours` and `theirs` measure once and return {"value": figure, ...}; further keys are medians
    for `beside`, which gets both sides' medians and returns [Beside]. Both may raise Unavailable."""
    name: str
    model: str
    peer: str
    unit: str
    ours: Callable[[], dict]
    theirs: Callable[[], dict]
    at_least: float | None = None  # bar of the ratio
    low_at_least: float | None = None  # bar of the interval's lower end
    more_is_better: bool = True  # a time: False, and the ratio is theirs / ours
    beside: Callable[[dict, dict], list] = lambda ours, theirs: []


@dataclass
class Beside:
    """A figure beside the speed: a share of the machine's limit, memory, quality."""
    what: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self):
        return (self.at_least is None or self.value >= self.at_least) and (self.at_most is None or self.value <= self.at_most)


@dataclass
class Outcome:
    case: str
    model: str
    peer: str
    unit: str
    turns: int = 0
    ours: float = math.nan
    theirs: float = math.nan
    ratio: float = math.nan
    low: float = math.nan
    high: float = math.nan
    at_least: float | None = None
    low_at_least: float | None = None
    ratios: list = field(default_factory=list)
    beside: list = field(default_factory=list)
    why_not: str = ""  # not measured, and why

    @property
    def met(self):
        return (not self.why_not and (self.at_least is None or self.ratio >= self.at_least)
                and (self.low_at_least is None or self.low >= self.low_at_least) and all(b.met for b in self.beside))


def median_interval(values):
    """The median's 95 % interval by order statistics, which assumes nothing of the distribution (15 values: the 4th and
    the 12th). With fewer than 6 values no interval is that sure, and it is the whole range."""
    ordered, n = sorted(values), len(values)
    tail, k = 0.0, 0
    while k < n // 2:
        tail += math.comb(n, k) / 2 ** n
        if tail > 0.025:
            break
        k += 1
    k = max(k, 1)
    return ordered[k - 1], ordered[n - k]


def medians(measured):
    return {key: statistics.median(m[key] for m in measured) for key in measured[0]}


def take_turns(case: Case, turns: int) -> Outcome:
    outcome = Outcome(case.name, case.model, case.peer, case.unit, at_least=case.at_least, low_at_least=case.low_at_least)
    sides = ([], [])
    try:
        for turn in range(turns):
            for side, measure in enumerate((case.ours, case.theirs)):
                sides[side].append(measure())
            a, b = (s[-1]["value"] for s in sides)
            outcome.ratios.append(a / b if case.more_is_better else b / a)
            print(f"  turn {turn + 1} of {turns}: {a:.4g} and {b:.4g} {case.unit}, {outcome.ratios[-1]:.2f}x", file=sys.stderr, flush=True)
        ours, theirs = map(medians, sides)
        outcome.beside = case.beside(ours, theirs)
    except Unavailable as missing:
        outcome.why_not = str(missing)
        return outcome
    outcome.turns, outcome.ours, outcome.theirs = turns, ours["value"], theirs["value"]
    outcome.ratio = statistics.median(outcome.ratios)
    outcome.low, outcome.high = median_interval(outcome.ratios)
    return outcome
