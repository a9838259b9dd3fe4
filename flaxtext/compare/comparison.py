"""Which variant is better, and how sure that is: intervals, paired differences and what they show.

All figures are of one test split that every variant predicted, so two variants are compared document by document.

A variant that was trained with one seed is judged as the model that it is, and its intervals know of the chance in
documents alone. One with several seeds is judged as what its lines of params.yaml give with any seed: its figure is the
mean over its seeds, or that of the average model if it is an ensemble, and its intervals know of both chances.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.sparse import csr_array
from scipy.special import ndtri, stdtr, stdtrit  # scipy.stats would be half a second to import

from flaxtext.compare.judged import Judged
from flaxtext.compare.majority import Majority
from flaxtext.compare.significance import holm, mcnemar
from flaxtext.config.compare import Compare

BLOCK = 100
"""Resamples drawn at a time, at most."""

CELLS = 1 << 22
"""Resamples times kinds of documents drawn at a time, to bound memory."""


@dataclass(frozen=True)
class Estimate:
    """A figure and the interval that its sampling error leaves."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Seeds:
    """Test accuracy of a variant's runs, one a seed: their mean, standard deviation (n - 1), and each."""

    mean: float
    std: float
    runs: list[float]


@dataclass(frozen=True)
class Standing:
    """Where a variant stands.

    Attributes:
        accuracy, macro_f1: on the test split.
        rank: 1 plus the number of variants that are shown to be better.
        seeds: None for a variant with one seed.
        better_than_majority: whether it is shown to be better than always answering train's largest class, by the
            test of the pairs, corrected for the number of variants; None where that class is not known.
        p_majority: of that test, before the correction.
    """

    accuracy: Estimate
    macro_f1: Estimate
    rank: int
    seeds: Seeds | None = None
    better_than_majority: bool | None = None
    p_majority: float | None = None


@dataclass(frozen=True)
class Pair:
    """Two variants, the one with the higher accuracy first.

    Attributes:
        difference: of their accuracies.
        p: that they err equally often, two-sided: McNemar's exact test; where either has several seeds, the
            difference over its bootstrap standard error, by Student's t.
        p_holm: the same, corrected for the number of pairs.
        shown: whether the corrected test shows a difference at the level asked for.
    """

    first: str
    second: str
    difference: Estimate
    p: float
    p_holm: float
    shown: bool

    def __str__(self) -> str:
        low, high = (100 * bound for bound in (self.difference.low, self.difference.high))
        points = f"{100 * self.difference.value:.1f} points ({low:.1f} to {high:.1f})"
        if self.shown:
            return f"{self.first} is better than {self.second} by {points}"
        return f"no difference shown between {self.first} and {self.second}: {points}"


def compare(judged: Judged, settings: Compare) -> tuple[dict[str, Standing], list[Pair]]:
    """Compare variants by what they predicted of the same documents.

    Of a variant with several seeds, `judged.by_seed` has what each seed's run predicted; where that of the first seed
    is not the variant's own prediction, the variant is an ensemble of them.

    Intervals are percentiles of a bootstrap over documents, each resample shared by all variants; it draws seeds as
    well, each variant's on its own, and few seeds widen them. Differences are tested, and p-values corrected by Holm's
    method, at level `1 - settings.confidence`. Standings come best accuracy first, pairs in the order of the standings.
    """
    labels, predicted, confidence = judged.labels, judged.predicted, settings.confidence
    runs = {name: judged.by_seed.get(name, answers[None]) for name, answers in predicted.items()}
    rng = np.random.default_rng(settings.seed)
    # Last, so that what is drawn for the others stays. No variant's name has a space.
    constant = {f"always {largest}": np.full_like(labels, largest) for largest in judged.majority.values()}
    found = _bootstrap(
        labels,
        {**predicted, **constant},
        {**runs, **{name: answers[None] for name, answers in constant.items()}},
        judged.n_classes,
        settings.resamples,
        rng,
    )
    names = sorted(predicted, key=lambda name: (-found[name][0].value, name))

    pairs = list(combinations(names, 2))
    differences = [found[first][0] - found[second][0] for first, second in pairs]
    p_values = [
        mcnemar(predicted[first] == labels, predicted[second] == labels)
        if len(runs[first]) == len(runs[second]) == 1
        else difference.p
        for (first, second), difference in zip(pairs, differences, strict=True)
    ]
    results = [
        Pair(first, second, difference.estimate(confidence), p, p_holm, p_holm < 1 - confidence)
        for (first, second), difference, p, p_holm in zip(pairs, differences, p_values, holm(p_values), strict=True)
    ]

    against = {name: found[name][0] - found[f"always {largest}"][0] for name, largest in judged.majority.items()}
    p_majority = {
        name: mcnemar(predicted[name] == labels, labels == judged.majority[name])
        if len(runs[name]) == 1
        else difference.p
        for name, difference in against.items()
    }
    better = {
        name: p_holm < 1 - confidence and against[name].value > 0
        for name, p_holm in zip(p_majority, holm(list(p_majority.values())), strict=True)
    }

    def share(figure: Resampled) -> Estimate:
        found = figure.estimate(confidence)
        return Estimate(found.value, max(found.low, 0.0), min(found.high, 1.0))

    standings = {
        name: Standing(
            accuracy=share(found[name][0]),
            macro_f1=share(found[name][1]),
            rank=1 + sum(pair.shown and pair.second == name for pair in results),
            seeds=seeds_of(runs[name], labels) if len(runs[name]) > 1 else None,
            better_than_majority=better.get(name),
            p_majority=p_majority.get(name),
        )
        for name in names
    }
    return standings, results


def describe_standings(
    standings: Mapping[str, Standing], pairs: Sequence[Pair], confidence: float, majority: Majority | None = None
) -> str:
    """Lay out a row for each variant, then one for each with several seeds, then a sentence for each pair.

    A variant that is not shown to be better than `majority` is called that in its row.
    """
    lines = [f"rank  {'variant':<20}  accuracy ({confidence:.0%} interval)    macro F1"]
    for name, standing in standings.items():
        figures = (f"{e.value:.3f} ({e.low:.3f} to {e.high:.3f})" for e in (standing.accuracy, standing.macro_f1))
        note = f"    not shown to be better than {majority}" if standing.better_than_majority is False else ""
        lines.append(f"{standing.rank:>4}  {name:<20}  {'    '.join(figures)}{note}")
    several = {name: standing.seeds for name, standing in standings.items() if standing.seeds}
    if several:
        lines.append(f"      {'accuracy by seed':<20}  mean    std     of each")
    for name, seeds in several.items():
        runs = " ".join(f"{run:.4f}" for run in seeds.runs)
        lines.append(f"      {name:<20}  {seeds.mean:.4f}  {seeds.std:.4f}  {runs}")
    return "\n".join([*lines, *map(str, pairs)])


@dataclass(frozen=True)
class Resampled:
    """A figure and its resamples.

    Attributes:
        value: the figure.
        samples: `float[resamples]`.
        between_seeds: for each variant of several seeds that it comes from, the part of its variance that they make,
            and how many they are.
    """

    value: float
    samples: np.ndarray
    between_seeds: tuple[tuple[float, int], ...] = ()

    def __sub__(self, other: "Resampled") -> "Resampled":
        return Resampled(
            self.value - other.value, self.samples - other.samples, self.between_seeds + other.between_seeds
        )

    @property
    def freedom(self) -> float:
        """Degrees of freedom: many where documents make the variance, few where few seeds do (Satterthwaite 1946)."""
        from_seeds = sum(part**2 / (seeds - 1) for part, seeds in self.between_seeds)
        if not from_seeds:
            return math.inf
        return max(float(self.samples.var()) ** 2 / from_seeds, min(seeds - 1 for _, seeds in self.between_seeds))

    @property
    def p(self) -> float:
        """Two-sided p-value that it is 0, by Student's t and the standard deviation of the resamples."""
        error = float(self.samples.std())
        return float(2 * stdtr(self.freedom, -abs(self.value) / error)) if error else float(self.value == 0)

    def estimate(self, confidence: float) -> Estimate:
        """Take the percentiles of the resamples for the interval, wider by as much as Student's t is for few seeds."""
        quantiles = [(1 - confidence) / 2, (1 + confidence) / 2]
        low, high = map(float, np.quantile(self.samples, quantiles))
        if self.freedom < math.inf:
            wider = float(stdtrit(self.freedom, quantiles[1]) / ndtri(quantiles[1]))
            low, high = self.value + wider * (low - self.value), self.value + wider * (high - self.value)
        return Estimate(self.value, low, high)


def seeds_of(runs: np.ndarray, labels: np.ndarray) -> Seeds:
    """Describe the accuracies of several seeds' predictions, `int[seeds, n]`."""
    accuracy = (runs == labels).mean(axis=1)
    return Seeds(float(accuracy.mean()), float(accuracy.std(ddof=1)), accuracy.tolist())


def macro_f1_of(labels: np.ndarray, predicted: np.ndarray, times: np.ndarray, n_classes: int) -> np.ndarray:
    """Macro F1 of `int[n]` predictions, document i counted `times[r, i]` times: `float[r]` for `float[r, n]`.

    It is the mean over the classes that are met or predicted, as in scikit-learn; where none is, it is 0.
    """
    is_right = (labels == predicted).astype(float)
    documents = np.ascontiguousarray(times.T, float)

    def totals(classes: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Sum up, for each class, how often the documents of that class are counted: `float[n_classes, r]`."""
        summed: np.ndarray = (
            csr_array((weights, (classes, np.arange(len(classes)))), (n_classes, len(classes))) @ documents
        )
        return summed

    met_or_predicted = totals(labels, np.ones(len(labels))) + totals(predicted, np.ones(len(labels)))
    f1 = 2 * totals(labels, is_right) / np.maximum(met_or_predicted, 1)
    macro_f1: np.ndarray = f1.sum(axis=0) / np.maximum((met_or_predicted > 0).sum(axis=0), 1)
    return macro_f1


def _bootstrap(
    labels: np.ndarray,
    predicted: Mapping[str, np.ndarray],
    runs: Mapping[str, np.ndarray],
    n_classes: int,
    resamples: int,
    rng: np.random.Generator,
) -> dict[str, tuple[Resampled, Resampled]]:
    """Compute each variant's accuracy and macro F1, and resample them.

    A resample draws documents and, for each variant with several, seeds: the Multi-Bootstrap of Sellam et al. 2022
    (The MultiBERTs), for seeds that are not paired. It draws one seed fewer than there are, since as many as there are
    would make the variance between seeds too small by the factor (seeds - 1) / seeds (Rao and Wu 1988). What documents
    and seeds do together is counted more than once (Owen 2007), so intervals are rather too wide than too narrow.

    The average model of an ensemble cannot be drawn again from classes; its figure moves by as much as the mean
    figure of the drawn seeds differs from that of all.

    Macro F1 is lower in resamples than in the documents themselves, much lower where classes have few of them: of three
    documents of a class, a resample often holds one or two, or none. So its resamples are moved to have the figure for
    their mean.
    """
    answers, weights, samples = {}, {}, {}
    seeds_rng = rng.spawn(1)[0]  # of its own, so that which documents are drawn does not depend on it
    for name, each in runs.items():
        drawn = max(len(each) - 1, 1)
        shares = seeds_rng.multinomial(drawn, np.full(len(each), 1 / len(each)), size=resamples).T / drawn
        answers[name], weights[name], samples[name] = each, shares, np.empty((2, resamples))
        if not np.array_equal(each[0], predicted[name]):  # an ensemble
            answers[name] = np.vstack([each, predicted[name]])
            weights[name] = np.vstack([shares - 1 / len(each), np.ones(resamples)])

    # Documents of the same class that got the same predictions are one kind; what matters is how often it is drawn.
    kinds, counts = np.unique(np.vstack([labels, *answers.values()]), axis=1, return_counts=True)
    ends = np.cumsum([len(rows) for rows in answers.values()])
    answers = dict(zip(answers, np.split(kinds[1:], ends[:-1]), strict=True))

    def figures(name: str, times: np.ndarray) -> np.ndarray:
        """Accuracy and macro F1, `float[2, answers, r]`, with the kinds drawn `times: int[r, kinds]`."""
        accuracy = [times[:, row == kinds[0]].sum(axis=1) / len(labels) for row in answers[name]]
        return np.array([accuracy, [macro_f1_of(kinds[0], row, times, n_classes) for row in answers[name]]])

    block = min(BLOCK, max(1, CELLS // len(counts)))
    for start in range(0, resamples, block):
        times = rng.multinomial(len(labels), counts / len(labels), size=min(block, resamples - start))
        part = slice(start, start + len(times))
        for name in runs:
            samples[name][:, part] = (figures(name, times) * weights[name][:, part]).sum(axis=1)

    results = {}
    for name, each in runs.items():
        own = figures(name, counts[None])[:, :, 0]
        by_run, ensemble = own[:, : len(each)], own[:, len(each) :]
        values = (ensemble if ensemble.size else by_run).mean(axis=1)
        samples[name][1] += values[1] - samples[name][1].mean()
        between = by_run.var(axis=1, ddof=1) / len(each) if len(each) > 1 else None
        accuracy, macro_f1 = (
            Resampled(float(values[i]), samples[name][i], () if between is None else ((float(between[i]), len(each)),))
            for i in range(2)
        )
        results[name] = accuracy, macro_f1
    return results
