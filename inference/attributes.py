"""Age and gender of aligned faces, all faces of a picture in one batch."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from inference.alignment import Aligned, dlib_template
from inference.errors import IncompleteResultError
from inference.results import Attributes
from inference.runtime import Floats, Session

Pixels = npt.NDArray[np.uint8]

AGE_SIDE_PX, GENDER_SIDE_PX, PADDING = 64, 32, 0.2
MEAN_RGB = (122.782, 117.001, 104.298)
MAX_BATCH = 32


def normalised(chips: list[Pixels]) -> Floats:
    """BGR pictures of one size → (N, 3, h, w) of (RGB - mean) / 256."""
    return np.asarray(
        cv2.dnn.blobFromImages(chips, scalefactor=1 / 256, mean=MEAN_RGB, swapRB=True), np.float32
    )


class AttributeEstimator:
    """dlib's age and gender networks."""

    def __init__(self, age: Session, gender: Session) -> None:
        self._age = age
        self._gender = gender
        self._age_template = dlib_template(AGE_SIDE_PX, PADDING)
        self._gender_template = dlib_template(GENDER_SIDE_PX, PADDING)

    def estimate(self, faces: list[Aligned]) -> list[Attributes]:
        """One answer a face, in order. Raises IncompleteResultError (5002)."""
        answers: list[Attributes] = []
        for start in range(0, len(faces), MAX_BATCH):
            batch = faces[start : start + MAX_BATCH]
            ages = self._age.run(normalised([face.chip(self._age_template, AGE_SIDE_PX) for face in batch]))[
                0
            ]
            genders = self._gender.run(
                normalised([face.chip(self._gender_template, GENDER_SIDE_PX) for face in batch])
            )[0]
            if not (np.isfinite(ages).all() and np.isfinite(genders).all()):
                raise IncompleteResultError("age or gender is not a number")
            years = expected_age(ages)
            answers += [
                Attributes(age=round(float(year)), gender="M" if gender[1] >= 0.5 else "F")
                for year, gender in zip(years, genders, strict=True)
            ]
        return answers


def expected_age(probabilities: Floats) -> Floats:
    """(N, 81) class probabilities → (N,) years: the expected value; class 0 stands for the first months."""
    years = np.arange(81, dtype=np.float32)
    years[0] = 0.25
    return np.asarray(probabilities @ years, np.float32)
