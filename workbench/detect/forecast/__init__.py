"""Forecast: what series will do next, with intervals, from their own past.

Enters: blocks of float64, one row per series and one column per time step of known length, NaN = no sample. Leaves: a
`Prediction`: point, low, high, the residuals of a backtest, weights and errors per series.
The one idea: a handful of cheap profiles (weekly, daily, level, trend) forecast from many origins inside the history;
how well each did there says how much it counts now, and how far the blend was off there is the interval.
Read `default.py` first, then `experts.py` and `conformal.py`; `labelled.py` is the same for metrics arrays.
"""

from workbench.detect.forecast.choice import choose
from workbench.detect.forecast.default import Prediction, forecast
from workbench.detect.forecast.experts import seasonal_naive, weekly_median
from workbench.detect.forecast.futures import crossing, error_paths
from workbench.detect.forecast.labelled import Forecast, crossings, forecast_metrics
from workbench.detect.forecast.timescale import clock

__all__ = [
    "Forecast",
    "Prediction",
    "choose",
    "clock",
    "crossing",
    "crossings",
    "error_paths",
    "forecast",
    "forecast_metrics",
    "seasonal_naive",
    "weekly_median",
]
