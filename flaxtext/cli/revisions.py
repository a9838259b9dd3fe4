"""Whether a change between two commits is real: what both predicted of the same documents, compared.

Predictions come through DVC, as the commit's dvc.lock names them, from its cache or remote: nothing is checked out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc.repo import Repo
from ruamel.yaml import YAML
from scmrepo.exceptions import SCMError

from flaxtext.artifacts.predictions import Predictions, largest_class, read_predictions
from flaxtext.compare.comparison import Estimate, Standing, compare
from flaxtext.compare.judged import Judged
from flaxtext.compare.majority import Majority
from flaxtext.compare.significance import holm
from flaxtext.config.compare import Compare
from flaxtext.core.errors import UserError

FOLDER = "data/predictions"
SIDES = ("before", "after")

ONE_SEED = """\
Where a variant was trained with one seed, this knows of the chance in documents alone, and another seed moves it, too.
With train.seeds: 5 in params.yaml, and the pipeline run again, it knows of both."""


@dataclass(frozen=True)
class Change:
    """What became of a variant from one revision to another.

    Attributes:
        variant: its name, or `a:b` for a of the first revision and b of the second.
        revisions: what the two are called.
        documents: of the test split.
        seeds: how many it was trained with, in each.
        before, after: accuracy on the test split.
        difference: after less before.
        p: as in `comparison.Pair`.
        p_holm: the same, corrected for the number of variants.
        only: what alone sets the two apart, if it is no more than "nothing" (the predictions are the same) or "the
            seed" (dvc.lock says so): then there is no difference to show, however small p is.
        shown: whether the corrected test shows a difference at the level asked for.
        majority: what always answering the largest class of train gets, in each; None where that class is not known.
        better_than_majority: whether it is shown to be better than that, in each, corrected for all variants and both
            revisions.
    """

    variant: str
    revisions: tuple[str, str]
    documents: int
    seeds: tuple[int, int]
    before: Estimate
    after: Estimate
    difference: Estimate
    p: float
    p_holm: float
    only: Literal["nothing", "the seed"] | None
    shown: bool
    majority: tuple[Majority | None, Majority | None] = (None, None)
    better_than_majority: tuple[bool | None, bool | None] = (None, None)

    @property
    def no_better(self) -> list[str]:
        """Say in which revision the variant is not shown to be better than the majority, a sentence each."""
        first, _, second = self.variant.partition(":")
        names = (f"{first} in {self.revisions[0]}", f"{second or first} in {self.revisions[1]}")
        return [
            majority.no_better(name)
            for name, majority, better in zip(names, self.majority, self.better_than_majority, strict=True)
            if majority and better is False
        ]

    def __str__(self) -> str:
        before, after = self.revisions
        first, colon, second = self.variant.partition(":")
        gain = self.difference
        if self.shown and colon:
            winner, loser = (f"{second} in {after}", f"{first} in {before}")[:: 1 if gain.value > 0 else -1]
            return f"{winner} is better than {loser} by {_points(gain)}"
        if self.shown:
            winner, loser = (after, before)[:: 1 if gain.value > 0 else -1]
            return f"{first} is better in {winner} than in {loser} by {_points(gain)}"
        if self.only == "nothing":
            return f"{self.variant}: the same predictions in {before} and {after}"
        note = ", which differ in the seed alone" if self.only else ""
        return f"{self.variant}: no difference shown between {before} and {after}{note}: {_points(gain, signed=True)}"


def project() -> Path:
    """Return the project's folder: this one, or the nearest above. Raises `UserError` where there is none."""
    try:
        return Path(Repo.find_root())
    except DvcException:
        raise UserError(f"{Path.cwd()}: not in a DVC project; run from the project's folder") from None


class Revision:
    """The predictions of a commit, or with None those of the working tree, until `close`.

    Raises `UserError` where there is no such commit, no project, or nothing predicted.
    """

    def __init__(self, revision: str | None = None) -> None:
        self.name = revision or "the working tree"
        root = project()
        self._files = DVCFileSystem(rev=revision, subrepos=True)
        try:
            # That of a commit begins where Git's repository does, that of the working tree with the project.
            begins = Path(self._files.repo.scm.root_dir) if revision else root
            self._root = PurePosixPath("/", root.resolve().relative_to(begins.resolve()).as_posix())
            paths = self._files.ls(str(self._root / FOLDER), detail=False, dvc_only=True)
        except FileNotFoundError:
            paths = []
        except (DvcException, SCMError) as error:
            self.close()
            raise UserError(f"{self.name}: {_line(error)}") from None
        self.variants = sorted(PurePosixPath(path).stem for path in paths if path.endswith(".parquet"))
        if not self.variants:
            self.close()
            raise UserError(f"{self.name}: no predictions: its dvc.yaml writes none to {FOLDER}")

    def close(self) -> None:
        """Close what DVC has open of the repository."""
        self._files.close()

    def read(self, variant: str) -> Predictions:
        """Read what a variant predicted of the test split."""
        if variant not in self.variants:
            raise UserError(f"{self.name}: no variant {variant!r}; there are {', '.join(self.variants)}")
        path = f"{FOLDER}/{variant}.parquet"
        try:
            with self._files.open(str(self._root / path), "rb") as file:
                return read_predictions(file)
        except UserError:  # which cannot name the file
            raise UserError(
                f"{self.name}: {path}: damaged, or written by another version of flaxtext, and cannot be compared"
            ) from None
        except FileNotFoundError:
            raise UserError(
                f"{self.name}: {path} is not in DVC's cache; `dvc fetch --all-commits` brings it, if it was pushed"
            ) from None
        except (DvcException, OSError) as error:
            raise UserError(f"{self.name}: {path}: {_line(error)}") from None

    def largest(self, variant: str) -> str | None:
        """Name the largest class of what a variant, which `read` has read, was trained on."""
        with self._files.open(str(self._root / f"{FOLDER}/{variant}.parquet"), "rb") as file:
            return largest_class(file)

    def recipe(self, variant: str) -> dict[str, Any] | None:
        """Return what a variant was trained from, by dvc.lock, except for its seeds; None if that does not say."""
        try:
            lock = YAML(typ="safe").load(self._files.read_text(str(self._root / "dvc.lock"), encoding="utf-8"))
            stage = lock["stages"][f"train@{variant}"]
            sections = stage["params"]["params.yaml"].values()
        except (DvcException, OSError, KeyError, TypeError):
            return None
        is_ensemble = any(section.get("ensemble") for section in sections)
        luck = {"seed"} if is_ensemble else {"seed", "seeds"}  # an ensemble of more is another model
        values = [{key: value for key, value in section.items() if key not in luck} for section in sections]
        return {"cmd": stage["cmd"], "deps": stage["deps"], "params": values}


def changes(before: Revision, after: Revision, chosen: Sequence[str], settings: Compare) -> list[Change]:
    """Compare variants between two revisions, by default each that both have.

    Each of `chosen` is a variant, or `a:b` to compare a of the first revision with b of the second. Raises `UserError`
    for a variant that is not there and for revisions that were judged on different documents.
    """
    chosen = list(dict.fromkeys(chosen)) or [name for name in before.variants if name in after.variants]
    if not chosen:
        raise UserError(
            f"no variant is in both: {before.name} has {', '.join(before.variants)}; "
            f"{after.name} has {', '.join(after.variants)}"
        )
    tables: list[Judged] = []
    majorities: list[tuple[Majority | None, Majority | None]] = []
    for variant in chosen:
        first, _, second = variant.partition(":")
        then, now = before.read(first), after.read(second or first)
        if not then.is_of_the_same_split(now):
            raise UserError(
                f"{variant}: {before.name} and {after.name} were judged on different test splits "
                f"({len(then.rows):,} and {len(now.rows):,} documents), which cannot be compared"
            )
        largest = dict(zip(SIDES, (before.largest(first), after.largest(second or first)), strict=True))
        tables.append(judged := Judged.of(dict(zip(SIDES, (then, now), strict=True)), largest))
        majorities.append((_majority(judged, "before", largest), _majority(judged, "after", largest)))
    compared = [compare(judged, settings) for judged in tables]
    corrected = holm([pair.p for _, (pair,) in compared])
    level = 1 - settings.confidence
    better = _better_than_majority([standings for standings, _ in compared], level)

    results = []
    everything = zip(chosen, tables, majorities, better, compared, corrected, strict=True)
    for variant, judged, majority, is_better, (standings, (pair,)), p_holm in everything:
        seeds = [len(judged.by_seed.get(side, [None])) for side in SIDES]
        only = _only(judged, before, after, variant)
        results.append(
            Change(
                variant=variant,
                revisions=(before.name, after.name),
                documents=len(judged.labels),
                seeds=(seeds[0], seeds[1]),
                before=standings["before"].accuracy,
                after=standings["after"].accuracy,
                difference=pair.difference if pair.first == "after" else _negative(pair.difference),
                p=pair.p,
                p_holm=p_holm,
                only=only,
                shown=p_holm < level and only is None,
                majority=majority,
                better_than_majority=is_better,
            )
        )
    return results


def readable_changes(results: Sequence[Change], confidence: float) -> str:
    """Lay changes out for reading: a table, then one sentence per variant, then what the test cannot know."""
    before, after = results[0].revisions
    wide = max(len("variant"), *(len(change.variant) for change in results))
    lines = [
        f"before: {before}; after: {after}; {results[0].documents:,} test documents",
        f"{'variant':<{wide}}  before  after   {f'difference ({confidence:.0%} interval)':<28}  p        corrected",
    ]
    lines += [
        f"{change.variant:<{wide}}  {change.before.value:.4f}  {change.after.value:.4f}  "
        f"{_points(change.difference, signed=True):<28}  {_p(change.p):<7}  {_p(change.p_holm)}"
        for change in results
    ]
    lines += ["", *map(str, results), *(line for change in results for line in change.no_better)]
    if any(1 in change.seeds and change.only != "nothing" for change in results):
        lines += ["", ONE_SEED]
    return "\n".join(lines)


def _majority(judged: Judged, side: str, largest: Mapping[str, str | None]) -> Majority | None:
    label = largest[side]
    return None if label is None else Majority.of(label, judged.labels == judged.majority[side])


def _better_than_majority(
    standings: Sequence[Mapping[str, Standing]], level: float
) -> list[tuple[bool | None, bool | None]]:
    """Say whether each variant is better in each revision; Holm's correction is for all of them."""
    each = [own[side] for own in standings for side in SIDES]
    corrected = iter(holm([own.p_majority for own in each if own.p_majority is not None]))
    better = [None if own.p_majority is None else next(corrected) < level and own.better_than_majority for own in each]
    return list(zip(better[::2], better[1::2], strict=True))


def _only(judged: Judged, before: Revision, after: Revision, variant: str) -> Literal["nothing", "the seed"] | None:
    answers, by_seed = judged.predicted, judged.by_seed
    runs = [by_seed.get(side, answers[side][None]) for side in ("before", "after")]
    if np.array_equal(answers["before"], answers["after"]) and np.array_equal(runs[0], runs[1]):
        return "nothing"
    recipe = before.recipe(variant)
    return "the seed" if recipe is not None and recipe == after.recipe(variant) else None


def _negative(difference: Estimate) -> Estimate:
    return Estimate(-difference.value, -difference.high, -difference.low)


def _points(difference: Estimate, *, signed: bool = False) -> str:
    """Write a difference in points of accuracy, by its sign or, where words tell which is better, by its size."""
    if signed:
        return "{:+z.1f} points ({:+z.1f} to {:+z.1f})".format(*(100 * v for v in astuple(difference)))
    if difference.value < 0:
        difference = _negative(difference)
    return "{:z.1f} points ({:z.1f} to {:z.1f})".format(*(100 * v for v in astuple(difference)))


def _p(p: float) -> str:
    return f"{p:.4f}" if p >= 0.0001 else "<0.0001"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
