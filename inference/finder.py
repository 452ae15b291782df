"""Where the faces of a picture are: a quick look at the whole, detail where there is detail, and a second
look at whatever is in doubt.

1. The whole picture at two scales: about 0.3 MP (up to 0.4 MP for large pictures), where YuNet is at its
   best, and 160 px for faces that fill the frame.
2. Pictures that step 1 shrank by more than half: those tiles of a finer scale that hold fine detail at all,
   for small faces in large photographs.
3. Every candidate below CERTAIN again, in a window of twice its size: YuNet at 128 px, CenterFace at 96 px;
   its score is the mean of the three. The numbers behind the constants: docs/decisions/0303-detection.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference import tables, tiles
from inference.alignment import Points
from inference.decoding import Picture
from inference.detections import Detections, Floats, overlaps, suppress, whole_boxes
from inference.detector import CenterFace, YuNet
from inference.runtime import Pixels
from inference.views import whole, window

LEVEL_SIDE_PX = 1280
VIEW_AREA_PX = (307_200, 400_000)
SMALL_VIEW_SIDE_PX = 160
SMALL_VIEW_FACE_SHARE = 0.3
MIN_VIEW_SIDE_PX = 256
CANDIDATE = 0.2
DETAIL_CANDIDATE = 0.1
CERTAIN = 0.85
ACCEPTED = 0.45

WINDOW = 2.0
YUNET_WINDOW_PX = 128
CENTERFACE_WINDOW_PX = 96
MAX_SECOND_LOOKS = 64
PRECISE_WINDOW, PRECISE_WINDOW_PX = 2.5, 160
BATCH = 4
UNSEEN_PENALTY = 0.25


@dataclass(frozen=True, slots=True)
class Found:
    """The faces of one picture, largest first, in the pixels of `pixels`: the picture at 1/`reduction`.

    `detections.scores` are YuNet's and CenterFace's; `probabilities` (N,) are what they are worth.
    `boxes_px` (N, 4) are the boxes in whole pixels of the whole picture, inside it: left, top, right,
    bottom.
    """

    pixels: Pixels
    reduction: int
    detections: Detections
    probabilities: tuple[float, ...]
    boxes_px: npt.NDArray[np.int64]


class FaceFinder:
    """May be used from any thread."""

    def __init__(self, yunet: YuNet, centerface: CenterFace) -> None:
        self._yunet = yunet
        self._centerface = centerface
        self._probability = tables.MonotoneMap.from_points(tables.load("face_probability")["points"])

    def find(self, picture: Picture) -> Found:
        """All faces. Raises ImageError 4003 where the picture cannot be decoded."""
        reduction = picture.reduction_for(LEVEL_SIDE_PX)
        pixels = picture.level(reduction)
        candidates = suppress(Detections.joined(self._first_look(pixels)))
        judged = suppress(self._second_look(pixels, candidates))
        judged = judged.take(np.flatnonzero(judged.scores >= ACCEPTED))
        boxes_px = whole_boxes(judged.boxes * reduction, picture.width_px, picture.height_px)
        areas = (boxes_px[:, 2:] - boxes_px[:, :2]).prod(axis=1)
        largest_first = np.argsort(-areas, kind="stable")
        judged, boxes_px = judged.take(largest_first), boxes_px[largest_first]
        probabilities = tuple(self._probability(float(score)) for score in judged.scores)
        return Found(pixels, reduction, judged, probabilities, boxes_px)

    def precise_points(self, pixels: Pixels, box: Floats, points: Floats) -> Points:
        """Landmarks (5, 2) averaged over the first look, a closer one, and its mirror image: steadier than
        any of the three, which lifts comparison more than any other step does.
        """
        view = window(pixels, box, PRECISE_WINDOW)
        closer = view.resized(PRECISE_WINDOW_PX)
        found = self._yunet.find([closer, closer[:, ::-1]], CANDIDATE)
        looks = [points.astype(np.float64)]
        for seen in (found[0], found[1].mirrored(PRECISE_WINDOW_PX)):
            seen = seen.mapped(view.side_px / PRECISE_WINDOW_PX, (view.left, view.top))
            near = np.flatnonzero(overlaps(box, seen.boxes) >= 0.3)
            if len(near):
                looks.append(seen.points[near[np.argmax(seen.scores[near])]].astype(np.float64))
        return np.asarray(np.mean(looks, axis=0), np.float64)

    def warm_up(self, pixels: Pixels) -> None:
        """Run both networks once on any pixels."""
        box = np.array([[64, 64, 192, 192]], np.float32)
        points = np.full((1, 5, 2), 128, np.float32)
        self._first_look(pixels)
        self._look_again(pixels, Detections(box, points, np.ones(1, np.float32)))

    def _first_look(self, pixels: Pixels) -> list[Detections]:
        height, width = pixels.shape[:2]
        area = float(np.clip(height * width / 4, *VIEW_AREA_PX))
        scale = min(1.0, (area / (height * width)) ** 0.5)
        if max(height, width) < MIN_VIEW_SIDE_PX:
            scale = MIN_VIEW_SIDE_PX / max(height, width)
        view = whole(pixels, scale)
        parts = [self._view(view, pixels, CANDIDATE)]
        long_side = max(view.shape[:2])
        if long_side > 2 * SMALL_VIEW_SIDE_PX:
            found = self._view(whole(view, SMALL_VIEW_SIDE_PX / long_side), pixels, CANDIDATE)
            large_face = found.sides.max(axis=1) >= SMALL_VIEW_FACE_SHARE * max(height, width)
            parts.append(found.take(np.flatnonzero(large_face)))
        if scale <= 0.5:
            parts += self._details(pixels)
        return parts

    def _view(self, view: Pixels, pixels: Pixels, threshold: float) -> Detections:
        """Candidates that show in a scaled copy of `pixels`, in the coordinates of `pixels`."""
        (found,) = self._yunet.find([view], threshold)
        return found.mapped((pixels.shape[1] / view.shape[1], pixels.shape[0] / view.shape[0]))

    def _details(self, pixels: Pixels) -> list[Detections]:
        """Candidates of the tiles that hold fine detail."""
        corners = tiles.detailed(pixels)
        if tiles.too_many(len(corners), pixels):
            return [self._view(whole(pixels, 1.0), pixels, DETAIL_CANDIDATE)]
        parts = []
        for start in range(0, len(corners), BATCH):
            some = corners[start : start + BATCH]
            found = self._yunet.find([tiles.cut(pixels, corner) for corner in some], DETAIL_CANDIDATE)
            parts += [
                seen.mapped(1 / tiles.ENLARGED, corner) for corner, seen in zip(some, found, strict=True)
            ]
        return parts

    def _second_look(self, pixels: Pixels, candidates: Detections) -> Detections:
        """Give each doubtful candidate the mean of three scores, and the better of its two boxes.

        `candidates` come best first. Of more than MAX_SECOND_LOOKS the rest are only marked down.
        """
        doubtful = np.flatnonzero(candidates.scores < CERTAIN)
        seen, unseen = doubtful[:MAX_SECOND_LOOKS], doubtful[MAX_SECOND_LOOKS:]
        boxes, points, scores = (
            candidates.boxes.copy(),
            candidates.points.copy(),
            candidates.scores.copy(),
        )
        scores[unseen] -= UNSEEN_PENALTY
        for start in range(0, len(seen), BATCH):
            part = seen[start : start + BATCH]
            again, second = self._look_again(pixels, candidates.take(part))
            better = again.scores > candidates.scores[part]
            boxes[part[better]], points[part[better]] = again.boxes[better], again.points[better]
            scores[part] = (candidates.scores[part] + again.scores + second) / 3
        order = np.argsort(-scores, kind="stable")
        return Detections(boxes, points, scores).take(order)

    def _look_again(self, pixels: Pixels, candidates: Detections) -> tuple[Detections, Floats]:
        """(what YuNet sees in each candidate's window, score 0 where nothing; CenterFace's score)."""
        windows = [window(pixels, box, WINDOW) for box in candidates.boxes]
        boxes, points = candidates.boxes.copy(), candidates.points.copy()
        scores, second = np.zeros(len(candidates), np.float32), np.zeros(len(candidates), np.float32)
        found = self._yunet.find([view.resized(YUNET_WINDOW_PX) for view in windows], CANDIDATE / 2)
        for index, (view, seen) in enumerate(zip(windows, found, strict=True)):
            seen = seen.mapped(view.side_px / YUNET_WINDOW_PX, (view.left, view.top))
            near = np.flatnonzero(overlaps(candidates.boxes[index], seen.boxes) >= 0.3)
            if len(near):
                best = near[np.argmax(seen.scores[near])]
                boxes[index], points[index], scores[index] = (
                    seen.boxes[best],
                    seen.points[best],
                    seen.scores[best],
                )
        # CenterFace costs most: ask it only where its yes could still lift the mean to ACCEPTED
        asked = np.flatnonzero(candidates.scores + scores + 1 >= 3 * ACCEPTED)
        if len(asked):
            second[asked] = self._centerface.agreement(
                [windows[index].resized(CENTERFACE_WINDOW_PX) for index in asked],
                np.stack([windows[i].inside(candidates.boxes[i], CENTERFACE_WINDOW_PX) for i in asked]),
            )
        return Detections(boxes, points, scores), second
