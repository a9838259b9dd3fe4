"""The report's charts as Vega-Lite, made with Altair.

Colours are CSS variables of the page, which the browser resolves as it draws: a chart follows the page into dark mode.
Charts are as wide as their place, and drawn by the one copy of Vega that the page carries. Classes are ordered by the
domain of their scale: Vega-Lite turns a `sort` into an expression, where not every class name can stand.
"""

import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from flaxtext.artifacts.history import Epoch

Chart = dict[str, Any]
"""A Vega-Lite specification."""

SERIES = 8
"""Colours of the page, `--series-0` and on, that variants take in turn."""

CONFIG: dict[str, Any] = {
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--soft)",
        "titleColor": "var(--soft)",
        "gridColor": "var(--line)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelLimit": 110,
        "labelPadding": 5,
    },
    "title": {"color": "var(--ink)", "fontSize": 13, "fontWeight": 600, "anchor": "start"},
    "line": {"strokeWidth": 2},
}


@cache
def chart_library() -> Future[str]:
    """Begin to bundle the JavaScript that draws charts, `vegaEmbed` with all it needs, as one classic script.

    It takes a second and a half, in a process of its own: in this one nothing else could run meanwhile.
    """
    pool = ThreadPoolExecutor(1)
    bundled = pool.submit(_bundle)
    pool.shutdown(wait=False)
    return bundled


def _bundle() -> str:
    code = "import vl_convert; print(vl_convert.javascript_bundle('window.vegaEmbed = vegaEmbed;'), end='')"
    command = [sys.executable, "-X", "utf8", "-c", code]
    script = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout
    return f"(() => {{\n{script}\n}})();"  # its names stay its own


def draw_curves(histories: dict[str, list[Epoch]], column: str, title: str) -> Chart:
    """Draw a column of each variant's history, by epoch."""
    tables = {name: pd.DataFrame(history) for name, history in histories.items()}
    frames = [table.assign(variant=name)[["variant", "epoch", column]] for name, table in tables.items()]
    table = pd.concat(frames).dropna().rename(columns={column: "value"})
    chart = (
        alt.Chart(table)
        .mark_line(point=alt.OverlayMarkDef(size=18))
        .encode(
            x=alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, format="d", grid=False)),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
            color=_color(list(histories)),
            tooltip=["variant:N", "epoch:Q", alt.Tooltip("value:Q", title=title, format=".4f")],
        )
        .properties(height=240)
    )
    return _finish(chart, f"{title}, by epoch")


def draw_confusion(matrix: np.ndarray, classes: list[str], variant: str) -> Chart:
    """Draw `int[classes, classes]`, true by predicted, each row in fractions of its documents."""
    totals = np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    rows = [
        {"true": classes[t], "predicted": classes[p], "documents": int(matrix[t, p]), "fraction": fraction}
        for (t, p), fraction in np.ndenumerate((matrix / totals).round(4))
        if matrix[t, p] or len(classes) <= 12
    ]
    table = pd.DataFrame(rows, columns=["true", "predicted", "documents", "fraction"])
    base = alt.Chart(table).encode(
        x=alt.X("predicted:N", scale=alt.Scale(domain=classes), title="predicted class", axis=alt.Axis(labelAngle=-35)),
        y=alt.Y("true:N", scale=alt.Scale(domain=classes), title="true class"),
        tooltip=[
            alt.Tooltip("true:N", title="true class"),
            alt.Tooltip("predicted:N", title="predicted class"),
            "documents:Q",
            alt.Tooltip("fraction:Q", format=".1%"),
        ],
    )
    cells = base.mark_rect(color="var(--for)").encode(
        # Light enough that the ink of the page, dark or light, can be read on it.
        fillOpacity=alt.FillOpacity("fraction:Q", scale=alt.Scale(domain=[0, 1], range=[0.03, 0.6]), legend=None)
    )
    layers = [cells]
    if len(classes) <= 12:
        numbers = base.mark_text(fontSize=12, color="var(--ink)").encode(text=alt.Text("fraction:Q", format=".0%"))
        layers.append(numbers)
    chart = alt.layer(*layers).properties(height=confusion_height(len(classes)), title=variant)
    return _finish(chart, f"Confusion matrix of {variant}")


def confusion_height(classes: int) -> int:
    """How high a confusion matrix is, in pixels, without its axis."""
    return min(600, max(180, 44 * classes))


def draw_per_class(scores: dict[str, dict[str, dict[str, float]]], measure: str, title: str) -> Chart:
    """Draw `scores[variant][class][measure]` as bars, one group per class."""
    rows = [
        {"variant": name, "class": label, "value": figures[measure], "documents": figures["support"]}
        for name, classes in scores.items()
        for label, figures in classes.items()
    ]
    variants, classes = list(scores), list(next(iter(scores.values())))
    chart = (
        alt.Chart(pd.DataFrame(rows))
        .mark_bar()
        .encode(
            y=alt.Y(
                "class:N",
                scale=alt.Scale(domain=classes, paddingInner=0.25),
                title=None,
                axis=alt.Axis(ticks=False, domain=False),
            ),
            yOffset=alt.YOffset("variant:N", scale=alt.Scale(domain=variants)),
            x=alt.X("value:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(tickCount=5, format=".1f")),
            color=_color(variants),
            tooltip=["variant:N", "class:N", alt.Tooltip("value:Q", title=title, format=".3f"), "documents:Q"],
        )
        .properties(height=per_class_height(scores), title=title)
    )
    return _finish(chart, f"{title} by class")


def per_class_height(scores: dict[str, dict[str, dict[str, float]]]) -> int:
    """How high the chart of `draw_per_class` is, in pixels, without its axis."""
    return len(next(iter(scores.values()))) * (12 * len(scores) + 14)


def draw_calibration(bins: pd.DataFrame, variants: list[str]) -> Chart:
    """Draw `variant, confidence, accuracy, documents`, one row per bin, beside the line of honest confidence."""
    honest = (
        alt.Chart(pd.DataFrame({"confidence": [0, 1], "accuracy": [0, 1]}))
        .mark_line(color="var(--soft)", strokeDash=[4, 4], strokeWidth=1)
        .encode(x="confidence:Q", y="accuracy:Q")
    )
    tenths = alt.Axis(tickCount=5, format=".1f")
    base = alt.Chart(bins).encode(
        x=alt.X("confidence:Q", title="stated confidence", scale=alt.Scale(domain=[0, 1]), axis=tenths),
        y=alt.Y("accuracy:Q", title="fraction of right answers", scale=alt.Scale(domain=[0, 1]), axis=tenths),
        color=_color(variants),
        tooltip=[
            "variant:N",
            alt.Tooltip("confidence:Q", format=".3f"),
            alt.Tooltip("accuracy:Q", title="fraction right", format=".3f"),
            "documents:Q",
        ],
    )
    size = alt.Size("documents:Q", scale=alt.Scale(range=[12, 260]), legend=None)
    points = base.mark_circle(opacity=0.75).encode(size=size)
    return _finish(alt.layer(honest, base.mark_line(), points).properties(height=340), "Confidence and accuracy")


def calibration_bins(confidence: np.ndarray, correct: np.ndarray, bins: int) -> pd.DataFrame:
    """Average confidence and accuracy in bins of equal width; `float32[n]` and `bool[n]`, empty bins left out.

    The bins are those of `flaxtext.evaluate.evaluation.calibration_error`.
    """
    confidence = confidence.astype(np.float64)
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    table = pd.DataFrame({"bin": which, "confidence": confidence, "accuracy": correct.astype(float)})
    groups = table.groupby("bin")
    means = groups.mean().round(4)
    return means.assign(documents=groups.size()).reset_index(drop=True)


def color_of(index: int) -> str:
    """Name the colour of the variant at `index`."""
    return f"var(--series-{index % SERIES})"


def _color(variants: list[str]) -> alt.Color:
    colors = [color_of(index) for index in range(len(variants))]
    return alt.Color("variant:N", scale=alt.Scale(domain=variants, range=colors), legend=None)


def _finish(chart: alt.Chart | alt.LayerChart | alt.FacetChart, description: str) -> Chart:
    chart = chart.properties(width="container", autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))
    return {**chart.to_dict(), "description": description, "config": CONFIG}
