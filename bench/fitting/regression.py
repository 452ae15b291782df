"""Ridge regressions, small enough to need no library."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def logistic(
    features: Floats, truth: npt.NDArray[np.bool_], ridge: Floats, sample: Floats | None = None
) -> Floats:
    """Return the weights and, last, the bias of a ridge logistic regression, by Newton's method.

    `sample` weighs the rows.
    """
    sample = np.ones(len(features)) if sample is None else sample
    design = np.column_stack([features, np.ones(len(features))])
    penalty = np.diag(np.append(ridge, 1e-6))
    weights = np.zeros(design.shape[1])
    for _ in range(20):
        p = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        gradient = design.T @ (sample * (p - truth)) + penalty @ weights
        curvature = (design * (sample * p * (1 - p))[:, None]).T @ design + penalty
        step = np.linalg.solve(curvature, gradient)
        weights -= step
        if np.abs(step).max() < 1e-4:
            break
    return weights


def least_squares(features: Floats, target: Floats, weights: Floats, ridge: Floats) -> Floats:
    """Return the weights and, last, the bias of a weighted ridge regression."""
    design = np.column_stack([features, np.ones(len(features))])
    weighted = design * weights[:, None]
    return np.asarray(
        np.linalg.solve(weighted.T @ design + np.diag(np.append(ridge, 0)), weighted.T @ target)
    )


def on_raw_features(features: Floats, fit: Callable[[Floats], Floats]) -> Floats:
    """Fit on standardised features, and fold the standardisation into the weights and the bias."""
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-9
    fitted = fit((features - mean) / deviation)
    raw = fitted[:-1] / deviation
    return np.append(raw, fitted[-1] - mean @ raw)


def apply(features: Floats, fitted: Floats) -> Floats:
    """Return the regression's predictions (N,) for features (N, D)."""
    return np.asarray(features @ fitted[:-1] + fitted[-1])
