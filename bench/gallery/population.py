"""Synthetic people for the gallery's benchmark: random templates, or ones distributed like real people's.

A fitted population is the mean and the covariance of real people's embeddings, and the covariance of several
pictures of one person. It contains no person's template and is deleted after the benchmark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from inference.results import Template

Floats = npt.NDArray[np.float64]
SIZE = 128  # numbers of each of the two embeddings
# Tangent of the angle between two pictures of a random person: a cosine of 0.64, less than most real ones.
TANGENT = 1.2


@dataclass(frozen=True)
class Population:
    """Embeddings of people: normal with this mean and `between`.

    Two pictures of a person differ in a normal direction with `within`. The tangents of the angles between
    their embeddings are a row of `tangents` (N, 2). Both factors (256, 256) multiply standard normal rows.
    """

    mean: Floats
    between: Floats
    within: Floats
    tangents: Floats

    @classmethod
    def random(cls) -> Population:
        """Return the hardest case for an index: no stranger is much more similar than another."""
        one = np.eye(2 * SIZE) / np.sqrt(SIZE)
        return cls(np.zeros(2 * SIZE), one, one, np.full((1, 2), TANGENT))

    @classmethod
    def fitted(cls, people: Sequence[Sequence[Template]]) -> Population:
        """Return the population of these people, each with one or more templates."""
        first = np.array([_row(templates[0]) for templates in people])
        apart = np.array([_row(one) - _row(templates[0]) for templates in people for one in templates[1:]])
        chords = np.stack([np.linalg.norm(half, axis=1) for half in np.hsplit(apart, 2)], axis=1)
        return cls(first.mean(axis=0), _factor(first), _factor(apart), np.tan(2 * np.arcsin(chords / 2)))

    @classmethod
    def load(cls, path: Path) -> Population:
        with np.load(path) as stored:
            return cls(**stored)

    def save(self, path: Path) -> None:
        np.savez(path, **asdict(self))

    def people(self, count: int, random: np.random.Generator) -> list[Template]:
        """Draw the templates of so many people."""
        return _templates(self.mean + random.normal(size=(count, 2 * SIZE)) @ self.between)

    def second_pictures(self, templates: Sequence[Template], random: np.random.Generator) -> list[Template]:
        """Draw another template of each of these people."""
        rows = np.array([_row(template) for template in templates])
        halves = np.hsplit(random.normal(size=rows.shape) @ self.within, 2)
        tangents = random.choice(self.tangents, size=len(rows)).T[:, :, None]
        apart = [_unit(half) * tangent for half, tangent in zip(halves, tangents, strict=True)]
        return _templates(rows + np.hstack(apart))


def _row(template: Template) -> Floats:
    return np.array([*template.primary, *template.secondary])


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _factor(rows: Floats) -> Floats:
    """Return a matrix F with F.T @ F the covariance of the rows."""
    values, vectors = np.linalg.eigh(np.cov(rows, rowvar=False))
    return np.asarray(np.sqrt(np.maximum(values, 0))[:, None] * vectors.T)


def _templates(rows: Floats) -> list[Template]:
    """Return templates of these embeddings, with the constants that real faces would have."""
    from inference.calibration import cohort
    from inference.results import Quality, Template

    primary, secondary = (_unit(half) for half in np.hsplit(rows, 2))
    of = cohort.cohort()
    average = np.full(len(rows), np.exp(of.quality.mean))
    constants = of.constants(cohort.fused(primary, secondary), average)
    return [
        Template(tuple(first), tuple(second), constant, Quality(1.0, ()))
        for first, second, constant in zip(
            primary.tolist(), secondary.tolist(), constants.tolist(), strict=True
        )
    ]
