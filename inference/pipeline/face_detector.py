"""Where the faces of a picture are: a quick look at the whole, detail where there is detail, and a second
look at whatever is in doubt.

1. The whole picture at two scales: about 0.3 MP (up to 0.4 MP for large pictures), where YuNet is at its
   best, and 160 px for faces that fill the frame.
2. Pictures that step 1 shrank by half or more: enlarged tiles of those parts that hold fine detail at all,
   for small faces in large photographs.
3. Every candidate below CERTAIN again, in a window of twice its size: YuNet at 128 px, CenterFace at 96 px;
   its score is the mean of the three. Of a small face the first look tells little; YuNet's second one stands
   in for it where that is better.

The numbers behind the constants: docs/decisions/0303-detection.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import numpy.typing as npt

from inference.arrays import Floats, Pixels, Points
from inference.calibration import tables
from inference.images.decoding import Picture
from inference.pipeline import tiles
from inference.pipeline.detection_models import CenterFace, YuNet
from inference.pipeline.detections import Detections, fast_nms, iou, nms, whole_boxes
from inference.pipeline.resampling import whole, window
from inference.pipeline.turning import TURNED, Surroundings, Turner, in_the_middle, off, quarters, roll

LEVEL_SIDE_PX = 1280
VIEW_AREA_PX = (307_200, 400_000)
SMALL_VIEW_SIDE_PX = 160
SMALL_VIEW_FACE_SHARE = 0.3
MIN_VIEW_SIDE_PX = 256
CANDIDATE = 0.2
DETAIL_CANDIDATE = 0.05
TILE_EDGE_PX = 4
CERTAIN = 0.85
ACCEPTED = 0.45

WINDOW = 2.0
YUNET_WINDOW_PX = 128
CENTERFACE_WINDOW_PX = 96
SMALL_FACE_PX = 26
MAX_SECOND_LOOKS = 128
UNSEEN_PENALTY = 0.25
BATCH = 4
PRECISE_WINDOW, PRECISE_WINDOW_PX = 2.5, 160
SAME_PLACE = 0.3
# Landmarks turned by more are looked at closely in a window that is turned as well.
PRECISE_ROLL = 15.0
# Smaller faces are taken for upright.
MIN_TURNED_PX = 32
TURNS = (1, 3, 28)
SIDE_VIEW_PX = 320
SIDE_CANDIDATE, MAX_SIDE_CANDIDATES = 0.35, 3
SIDE_ACCEPTED = 0.6


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


class FaceDetector:
    """May be used from any thread."""

    def __init__(self, yunet: YuNet, centerface: CenterFace) -> None:
        self._yunet = yunet
        self._centerface = centerface
        self._turner = Turner(yunet, centerface)
        self._probability = tables.PiecewiseLinear.from_points(tables.load("face_probability")["points"])

    def find(self, picture: Picture) -> Found:
        """All faces. Raises ImageError 4003 where the picture cannot be decoded."""
        reduction = picture.reduction_for(LEVEL_SIDE_PX)
        pixels = picture.level(reduction)
        judged = self._whichever_way_up(pixels, self._accepted(pixels))
        boxes_px = whole_boxes(judged.boxes * reduction, picture.width_px, picture.height_px)
        areas = (boxes_px[:, 2:] - boxes_px[:, :2]).prod(axis=1)
        largest_first = np.argsort(-areas, kind="stable")
        judged, boxes_px = judged.take(largest_first), boxes_px[largest_first]
        probabilities = tuple(self._probability(float(score)) for score in judged.scores)
        return Found(pixels, reduction, judged, probabilities, boxes_px)

    def uprightness(self, found: Found, index: int) -> float:
        """Return how sure it is which way up a face is, 0..1; below .5 it may as well be upside down."""
        return self._turner.uprightness(found.pixels, found.detections.take(np.array([index])))

    def precise_points(self, pixels: Pixels, box: Floats, points: Floats) -> Points:
        """Landmarks (5, 2) averaged over the first look, a closer one, and its mirror image: steadier than
        any of the three, which lifts comparison more than any other step does.
        """
        degrees = roll(points)
        if abs(degrees) > PRECISE_ROLL:
            return self._precise_turned_points(pixels, box, points, degrees)
        view = window(pixels, box, PRECISE_WINDOW)
        closer = view.resized(PRECISE_WINDOW_PX)
        found = self._yunet.find([closer, closer[:, ::-1]], CANDIDATE)
        looks = [points.astype(np.float64)]
        for seen in (found[0], found[1].mirrored(PRECISE_WINDOW_PX)):
            looks += list(_there(view.outside(seen, PRECISE_WINDOW_PX), box).points.astype(np.float64))
        return np.asarray(np.mean(looks, axis=0), np.float64)

    def _precise_turned_points(self, pixels: Pixels, box: Floats, points: Floats, degrees: float) -> Points:
        """`precise_points` in a window in which the face is upright."""
        view = Surroundings(pixels, box, PRECISE_WINDOW, PRECISE_WINDOW_PX).turned(degrees)
        found = self._yunet.find([view.pixels, view.pixels[:, ::-1]], CANDIDATE)
        looks = [points.astype(np.float64)]
        for seen in (found[0], found[1].mirrored(PRECISE_WINDOW_PX)):
            there = in_the_middle(seen, PRECISE_WINDOW, PRECISE_WINDOW_PX)
            looks += list(view.outside(there).points.astype(np.float64))
        return np.asarray(np.mean(looks, axis=0), np.float64)

    def warm_up(self, pixels: Pixels) -> None:
        """Run both networks once on any pixels."""
        box = np.array([[64, 64, 192, 192]], np.float32)
        points = np.full((1, 5, 2), 128, np.float32)
        self._first_look(pixels)
        self._look_again(pixels, Detections(box, points, np.ones(1, np.float32)))

    def _accepted(self, pixels: Pixels) -> Detections:
        """Return the faces that upright looks find."""
        candidates = nms(Detections.joined(self._first_look(pixels)))
        judged = nms(self._second_look(pixels, candidates))
        return judged.take(np.flatnonzero(judged.scores >= ACCEPTED))

    def _whichever_way_up(self, pixels: Pixels, upright: Detections) -> Detections:
        """Return the same faces, those that are turned with landmarks that are right, and further ones.

        Costs nothing if every face is upright beyond doubt. If no face is certain, the picture is also looked
        at from its other three sides, small; if its largest face then lies on one of them, in full.
        """
        found = self._turned(pixels, upright)
        if not (found.scores >= CERTAIN).any():
            found = nms(Detections.joined([found, *self._from_other_sides(pixels)]))
        if not len(found):
            return found
        largest = int(found.sides.prod(axis=1).argmax())
        side = round(roll(found.points[largest]) / 90) % 4
        if side and found.scores[largest] >= CERTAIN:
            height, width = pixels.shape[:2]
            whole_look = self._accepted(np.ascontiguousarray(np.rot90(pixels, side)))
            there = self._turned(pixels, quarters(whole_look, side, width, height), 90.0 * side)
            found = nms(Detections.joined([found, there]))
        return found

    def _turned(self, pixels: Pixels, faces: Detections, degrees: float = 0.0) -> Detections:
        """Return the faces with landmarks that fit, if they may be turned from `degrees`.

        The largest ones first: if none of those is turned, the others are taken for upright.
        """
        largest_first = np.argsort(-faces.sides.prod(axis=1), kind="stable")
        doubtful = [
            index
            for index in largest_first
            if faces.sides[index].max() >= MIN_TURNED_PX
            and self._turner.is_in_doubt(faces.points[index], float(faces.scores[index]), degrees)
        ]
        parts = {int(index): faces.take(np.array([index])) for index in range(len(faces))}
        waiting = iter(doubtful)
        for count in TURNS:
            some = list(islice(waiting, count))
            turned = {int(index): self._turner.turn(pixels, parts[int(index)], degrees) for index in some}
            parts |= turned
            if all(abs(off(roll(face.points[0]), degrees)) <= TURNED for face in turned.values()):
                break
        return Detections.joined(list(parts.values())) if doubtful else faces

    def _from_other_sides(self, pixels: Pixels) -> list[Detections]:
        """Return the faces that show when the picture is turned by 90, 180 and 270 degrees."""
        height, width = pixels.shape[:2]
        small = whole(pixels, min(1.0, SIDE_VIEW_PX / max(height, width)))
        scale = (width / small.shape[1], height / small.shape[0])
        candidates = []
        for side in (1, 2, 3):
            (seen,) = self._yunet.find([np.ascontiguousarray(np.rot90(small, side))], SIDE_CANDIDATE)
            seen = quarters(nms(seen), side, small.shape[1], small.shape[0]).mapped(scale)
            candidates += [(seen.take(np.array([index])), 90.0 * side) for index in range(len(seen))]
        candidates.sort(key=lambda candidate: -candidate[0].scores[0])
        faces = [
            self._turner.confirm(pixels, candidate, degrees)
            for candidate, degrees in candidates[:MAX_SIDE_CANDIDATES]
        ]
        return [face.take(np.flatnonzero(face.scores >= SIDE_ACCEPTED)) for face in faces]

    def _first_look(self, pixels: Pixels) -> list[Detections]:
        height, width = pixels.shape[:2]
        area = float(np.clip(height * width / 4, *VIEW_AREA_PX))
        scale = min(1.0, (area / (height * width)) ** 0.5)
        if max(height, width) < MIN_VIEW_SIDE_PX:
            scale = MIN_VIEW_SIDE_PX / max(height, width)
        view = whole(pixels, scale)
        parts = [self._view(view, pixels)]
        long_side = max(view.shape[:2])
        if long_side > 2 * SMALL_VIEW_SIDE_PX:
            found = self._view(whole(view, SMALL_VIEW_SIDE_PX / long_side), pixels)
            large_face = found.sides.max(axis=1) >= SMALL_VIEW_FACE_SHARE * max(height, width)
            parts.append(found.take(np.flatnonzero(large_face)))
        if scale <= 0.5:
            parts += self._details(pixels)
        return parts

    def _view(self, view: Pixels, pixels: Pixels) -> Detections:
        """Candidates that show in a scaled copy of `pixels`, in the coordinates of `pixels`."""
        (found,) = self._yunet.find([view], CANDIDATE)
        return found.mapped((pixels.shape[1] / view.shape[1], pixels.shape[0] / view.shape[0]))

    def _details(self, pixels: Pixels) -> list[Detections]:
        """Candidates of the tiles that hold fine detail: small ones from DETAIL_CANDIDATE on; larger ones as
        elsewhere, unless the tile's edge may have cut them.
        """
        parts = []
        for tile in tiles.detailed(pixels):
            (found,) = self._yunet.find([tile.cut(pixels)], DETAIL_CANDIDATE)
            found = fast_nms(found)
            cut = ((found.boxes < TILE_EDGE_PX) | (found.boxes > tile.seen_px - TILE_EDGE_PX)).any(axis=1)
            found = found.mapped(tile.side_px / tile.seen_px, (tile.left, tile.top))
            small = found.sides.max(axis=1) < SMALL_FACE_PX
            parts.append(found.take(np.flatnonzero(small | (~cut & (found.scores >= CANDIDATE)))))
        return parts

    def _second_look(self, pixels: Pixels, candidates: Detections) -> Detections:
        """Look at each doubtful candidate again.

        `candidates` come best first. Of more than MAX_SECOND_LOOKS the rest are only marked down.
        """
        doubtful = np.flatnonzero(candidates.scores < CERTAIN)
        parts = [candidates.take(np.flatnonzero(candidates.scores >= CERTAIN))]
        for start in range(0, min(len(doubtful), MAX_SECOND_LOOKS), BATCH):
            part = doubtful[start : min(start + BATCH, MAX_SECOND_LOOKS)]
            parts.append(self._look_again(pixels, candidates.take(part)))
        unseen = candidates.take(doubtful[MAX_SECOND_LOOKS:])
        parts.append(replace(unseen, scores=unseen.scores - np.float32(UNSEEN_PENALTY)))
        return Detections.joined(parts)

    def _look_again(self, pixels: Pixels, candidates: Detections) -> Detections:
        """The candidates, each with the mean of three scores and the better of its two boxes."""
        windows = [window(pixels, box, WINDOW) for box in candidates.boxes]
        boxes, points = candidates.boxes.copy(), candidates.points.copy()
        again, second = np.zeros(len(candidates), np.float32), np.zeros(len(candidates), np.float32)
        found = self._yunet.find([view.resized(YUNET_WINDOW_PX) for view in windows], CANDIDATE / 2)
        for index, (view, seen) in enumerate(zip(windows, found, strict=True)):
            seen = _there(view.outside(seen, YUNET_WINDOW_PX), candidates.boxes[index])
            if len(seen):
                (again[index],) = seen.scores
                if again[index] > candidates.scores[index]:
                    boxes[index], points[index] = seen.boxes[0], seen.points[0]
        small = candidates.sides.max(axis=1) < SMALL_FACE_PX
        first = np.where(small, np.maximum(candidates.scores, again), candidates.scores)
        # CenterFace costs most: ask it only where its yes could still lift the mean to ACCEPTED
        asked = np.flatnonzero(first + again + 1 >= 3 * ACCEPTED)
        if len(asked):
            second[asked] = self._centerface.agreement(
                [windows[index].resized(CENTERFACE_WINDOW_PX) for index in asked],
                np.stack([windows[i].inside(candidates.boxes[i], CENTERFACE_WINDOW_PX) for i in asked]),
            )
        return Detections(boxes, points, np.asarray((first + again + second) / 3, np.float32))


def _there(seen: Detections, box: Floats) -> Detections:
    """The best of what was seen where `box` is; none where nothing was."""
    near = np.flatnonzero(iou(box, seen.boxes) >= SAME_PLACE)
    return seen.take(near[np.argsort(-seen.scores[near], kind="stable")[:1]])
