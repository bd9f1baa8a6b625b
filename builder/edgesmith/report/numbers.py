"""Numbers as people read them: sensible digits, scaled units, percent where it is one."""

from __future__ import annotations

import math
from collections.abc import Callable

from edgesmith.report.views import Measure

# Metrics that are shares of samples; a loss in them is told in points of percent.
SHARE_METRICS = frozenset({"top1", "top5", "agreement"})

_TIMES = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))
_SIZES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))

METRIC_TITLES = {
    "top1": "top-1",
    "top5": "top-5",
    "cosine": "cosine",
    "sqnr_db": "SQNR",
    "max_abs_error": "largest error",
}


def counted(count: int, noun: str) -> str:
    """The count with its noun: "1 group", "2 groups"."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def significant(value: float, digits: int = 3) -> str:
    """`value` with so many significant digits, never in exponent form below a million."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    exponent = math.floor(math.log10(abs(value)))
    if exponent >= 6 or exponent < -4:
        return f"{value:.{digits - 1}e}"
    decimals = max(0, digits - 1 - exponent)
    text = f"{value:.{decimals}f}"
    # 9.996 rounds up to four digits, 10.00.
    if decimals and math.floor(math.log10(abs(float(text)))) > exponent:
        text = f"{value:.{decimals - 1}f}"
    return text


def time_unit(largest_ns: float) -> tuple[float, str]:
    """Divisor and unit for times up to `largest_ns`."""
    return next((unit for unit in _TIMES if largest_ns >= unit[0]), _TIMES[-1])


def format_time(
    value_ns: float, unit: tuple[float, str] | None = None, *, name: bool = True
) -> str:
    """A time in ns, in a unit of its own or the given one."""
    divisor, text = unit or time_unit(value_ns)
    number = significant(value_ns / divisor)
    return f"{number} {text}" if name else number


def format_bytes(value: float) -> str:
    """A size in decimal units."""
    divisor, text = next((unit for unit in _SIZES if value >= unit[0]), _SIZES[-1])
    return f"{significant(value / divisor)} {text}" if divisor > 1 else f"{value:.0f} B"


def format_ratio(value: float) -> str:
    return f"{significant(value)}x"


def format_count(value: float) -> str:
    """A count with thousands set apart."""
    return f"{value:,.0f}" if value >= 1000 else significant(value)


def format_metric(metric: str, value: float, *, unit: bool = True) -> str:
    """A metric's value: shares in percent, SQNR in dB."""
    if metric in SHARE_METRICS:
        return f"{100 * value:.1f}" + (" %" if unit else "")
    if metric == "sqnr_db":
        return f"{value:.1f}" + (" dB" if unit else "")
    if metric == "cosine":
        return f"{value:.6f}"
    return significant(value)


def format_loss(metric: str, value: float, *, unit: bool = True) -> str:
    """A loss in a metric: of shares in points of percent."""
    if metric in SHARE_METRICS:
        return f"{round(100 * value, 2) + 0.0:.2f}" + (" points" if unit else "")
    title = METRIC_TITLES.get(metric, metric)
    number = f"{value:.2f} dB" if metric == "sqnr_db" else significant(value)
    return f"{number} in {title}" if unit else number


def format_interval(measure: Measure, form: Callable[[float], str]) -> str:
    """ " [low, high]" with a space before it, or nothing when there is no interval."""
    if measure.low is None or measure.high is None:
        return ""
    return f" [{form(measure.low)}, {form(measure.high)}]"
