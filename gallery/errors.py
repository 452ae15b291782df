"""The errors of this room.

GalleryError                    `index` is the entry of the request at fault, if any
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
    """A rule of the gallery was violated. The attributes are the values for its message."""

    def __init__(self, *, index: int | None = None, **values: Any) -> None:
        super().__init__(type(self).__name__)
        self.index = index
        self.values = values


class NoSuchGroup(GalleryError):
    """The App has no group with this id."""


class NoSuchFace(GalleryError):
    """The group has no such person, or the person has no such face."""


class GalleryFull(GalleryError):
    """The App may not store more faces, or have more groups."""


class LooksLike(GalleryError):
    """The face matches another person of the group, and the caller requires unique persons."""


class ConsentPast(GalleryError):
    """The consent has expired."""


class OtherModel(GalleryError):
    """The group has templates of another model version, which cannot be compared."""


class TooManyFaces(GalleryError):
    """The person already has the maximum number of faces."""
