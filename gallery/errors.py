"""What the rules of this room refuse.

GalleryError                    `index` is the entry of the request at fault, if one is
├── NoSuchGroup                 group_id                               (faceapi: 4301)
├── NoSuchFace                  group_id, person_id, face_id           (faceapi: 4302)
├── GalleryFull                 what ("faces" or "groups"), limit      (faceapi: 4303)
├── LooksLike                   person_id                              (faceapi: 4305)
├── ConsentPast                 -                                      (faceapi: 4306)
├── OtherModel                  group_id                               (faceapi: 4307)
└── TooManyFaces                person_id, limit                       (faceapi: 4308)
"""

from typing import Any


class GalleryError(Exception):
    """A rule of the gallery refused this. The attributes are the values that a sentence about it needs."""

    def __init__(self, *, index: int | None = None, **values: Any) -> None:
        super().__init__(type(self).__name__)
        self.index = index
        self.values = values


class NoSuchGroup(GalleryError):
    """The App has no group of this id."""


class NoSuchFace(GalleryError):
    """The group has no such person, or the person no such face."""


class GalleryFull(GalleryError):
    """The App may not store more faces, or have more groups."""


class LooksLike(GalleryError):
    """Another person of the group looks the same, and the caller wants persons to be unique."""


class ConsentPast(GalleryError):
    """The consent has expired, or the group's retention is over before the face is stored."""


class OtherModel(GalleryError):
    """The group holds templates of another model version: nothing is compared across versions."""


class TooManyFaces(GalleryError):
    """The person has as many faces as one may have."""
