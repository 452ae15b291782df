"""Face detection: a coarse pass, tiles for small faces, verification of doubtful candidates.

1. The whole picture at two scales: about 0.3 MP (up to 0.4 MP for large pictures), where YuNet works best,
   and 160 px for faces that fill the frame.
2. If step 1 halved the picture or more: enlarged tiles of the regions with fine detail, for small faces in
   large photographs.
3. Every candidate with a score below CERTAIN is verified in a window of twice its size: by YuNet at 128 px
   and CenterFace at 96 px. The new score is the mean of the three. For small faces the first score is
   unreliable, so YuNet's second score replaces it if that is higher.

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
from inference.pipeline.detections import Detections, fast_nms, iou, nms, pixel_boxes
from inference.pipeline.resampling import scaled, window
from inference.pipeline.rotation import (
    ROTATED_FROM,
    RotatableCrop,
    RotationResolver,
    angle_from,
    central_detection,
    roll,
    undo_quarter_turns,
)

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
MAX_VERIFIED = 128
UNVERIFIED_PENALTY = 0.25
BATCH = 4
PRECISE_WINDOW, PRECISE_WINDOW_PX = 2.5, 160
MATCH_IOU = 0.3
# Landmarks with a larger roll are refined in a window that is rotated as well.
PRECISE_ROLL = 15.0
# Smaller faces are assumed to be upright.
MIN_ROTATED_PX = 32
ROTATION_BATCHES = (1, 3, 28)
SIDE_VIEW_PX = 320
SIDE_CANDIDATE, MAX_SIDE_CANDIDATES = 0.35, 3
SIDE_ACCEPTED = 0.6
# A face whose sides have at least this share of the largest one's is reported as `several_faces`.
SIMILAR_SIDES = 0.75


@dataclass(frozen=True, slots=True)
class Found:
    """The faces of one picture, largest first, in the pixels of `pixels`: the picture at 1/`reduction`.

    `detections.scores` are the combined scores of YuNet and CenterFace; `probabilities` (N,) are these
    scores, calibrated. `boxes_px` (N, 4) are the boxes in whole pixels of the full-size picture, clipped to
    it: left, top, right, bottom.
    """

    pixels: Pixels
    reduction: int
    detections: Detections
    probabilities: tuple[float, ...]
    boxes_px: npt.NDArray[np.int64]

    @property
    def subject(self) -> int:
        """Return the index of the face that a comparison uses. There must be at least one face.

        It is the largest face; among faces of similar size, the one nearest to the centre of the picture.
        Rotating the picture may change which of two similar boxes is larger, but not which one is nearer to
        the centre.
        """
        sides = np.sqrt(self.detections.sides.prod(axis=1))
        similar = np.flatnonzero(sides >= SIMILAR_SIDES * sides.max())
        height, width = self.pixels.shape[:2]
        centres = (self.detections.boxes[similar, :2] + self.detections.boxes[similar, 2:]) / 2
        return int(similar[np.hypot(*(centres - (width / 2, height / 2)).T).argmin()])


class FaceDetector:
    """Finds the faces of a picture. Thread-safe."""

    def __init__(self, yunet: YuNet, centerface: CenterFace) -> None:
        self._yunet = yunet
        self._centerface = centerface
        self._rotation = RotationResolver(yunet, centerface)
        self._probability = tables.PiecewiseLinear.from_points(tables.load("face_probability")["points"])

    def find(self, picture: Picture) -> Found:
        """Return all faces. Raises ImageError 4003 if the picture cannot be decoded."""
        reduction = picture.reduction_for(LEVEL_SIDE_PX)
        pixels = picture.level(reduction)
        judged = self._with_rotated_faces(pixels, self._detect_upright(pixels))
        boxes_px = pixel_boxes(judged.boxes * reduction, picture.width_px, picture.height_px)
        areas = (boxes_px[:, 2:] - boxes_px[:, :2]).prod(axis=1)
        largest_first = np.argsort(-areas, kind="stable")
        judged, boxes_px = judged.take(largest_first), boxes_px[largest_first]
        probabilities = tuple(self._probability(float(score)) for score in judged.scores)
        return Found(pixels, reduction, judged, probabilities, boxes_px)

    def uprightness(self, found: Found, index: int) -> float:
        """Return the confidence, 0..1, that a face is not upside down; below .5, it may be."""
        return self._rotation.uprightness(found.pixels, found.detections.take(np.array([index])))

    def precise_points(self, pixels: Pixels, box: Floats, points: Floats) -> Points:
        """Return landmarks (5, 2) averaged over the first detection, a close-up and its mirror image.

        The average is more stable than any of the three, and improves comparison more than any other step.
        """
        degrees = roll(points)
        if abs(degrees) > PRECISE_ROLL:
            return self._precise_rotated_points(pixels, box, points, degrees)
        view = window(pixels, box, PRECISE_WINDOW)
        closer = view.resized(PRECISE_WINDOW_PX)
        found = self._yunet.find([closer, closer[:, ::-1]], CANDIDATE)
        estimates = [points.astype(np.float64)]
        for seen in (found[0], found[1].mirrored(PRECISE_WINDOW_PX)):
            match = _best_match(view.to_picture(seen, PRECISE_WINDOW_PX), box)
            estimates += list(match.points.astype(np.float64))
        return np.asarray(np.mean(estimates, axis=0), np.float64)

    def _precise_rotated_points(self, pixels: Pixels, box: Floats, points: Floats, degrees: float) -> Points:
        """Return `precise_points` from a window in which the face is upright."""
        view = RotatableCrop(pixels, box, PRECISE_WINDOW, PRECISE_WINDOW_PX).at(degrees)
        found = self._yunet.find([view.pixels, view.pixels[:, ::-1]], CANDIDATE)
        estimates = [points.astype(np.float64)]
        for seen in (found[0], found[1].mirrored(PRECISE_WINDOW_PX)):
            match = central_detection(seen, PRECISE_WINDOW, PRECISE_WINDOW_PX)
            estimates += list(view.to_picture(match).points.astype(np.float64))
        return np.asarray(np.mean(estimates, axis=0), np.float64)

    def warm_up(self, pixels: Pixels) -> None:
        """Run both networks once, on any pixels."""
        box = np.array([[64, 64, 192, 192]], np.float32)
        points = np.full((1, 5, 2), 128, np.float32)
        self._first_pass(pixels)
        self._rescore(pixels, Detections(box, points, np.ones(1, np.float32)))

    def _detect_upright(self, pixels: Pixels) -> Detections:
        """Return the faces that are found in the picture as it is."""
        candidates = nms(Detections.joined(self._first_pass(pixels)))
        judged = nms(self._verify(pixels, candidates))
        return judged.take(np.flatnonzero(judged.scores >= ACCEPTED))

    def _with_rotated_faces(self, pixels: Pixels, upright: Detections) -> Detections:
        """Return `upright` with correct landmarks for rotated faces, and rotated faces that were missed.

        Runs no network if all faces are clearly upright. If no face is certain, a small copy of the picture
        is also searched at 90, 180 and 270 degrees; if the largest face then turns out to be certain and
        rotated by one of these angles, the whole detection is repeated at that angle.
        """
        found = self._correct_rotation(pixels, upright)
        if not (found.scores >= CERTAIN).any():
            found = nms(Detections.joined([found, *self._detect_sideways(pixels)]))
        if not len(found):
            return found
        largest = int(found.sides.prod(axis=1).argmax())
        side = round(roll(found.points[largest]) / 90) % 4
        if side and found.scores[largest] >= CERTAIN:
            height, width = pixels.shape[:2]
            turned = self._detect_upright(np.ascontiguousarray(np.rot90(pixels, side)))
            turned_back = undo_quarter_turns(turned, side, width, height)
            more = self._correct_rotation(pixels, turned_back, 90.0 * side)
            found = nms(Detections.joined([found, more]))
        return found

    def _correct_rotation(self, pixels: Pixels, faces: Detections, degrees: float = 0.0) -> Detections:
        """Return `faces` with corrected landmarks for those that may be rotated from `degrees`.

        The largest are checked first: if none of them is rotated, the others are assumed to be upright.
        """
        largest_first = np.argsort(-faces.sides.prod(axis=1), kind="stable")
        doubtful = [
            index
            for index in largest_first
            if faces.sides[index].max() >= MIN_ROTATED_PX
            and self._rotation.may_be_rotated(faces.points[index], float(faces.scores[index]), degrees)
        ]
        parts = {int(index): faces.take(np.array([index])) for index in range(len(faces))}
        waiting = iter(doubtful)
        for count in ROTATION_BATCHES:
            some = list(islice(waiting, count))
            corrected = {
                int(index): self._rotation.resolve(pixels, parts[int(index)], degrees) for index in some
            }
            parts |= corrected
            angles = [angle_from(roll(face.points[0]), degrees) for face in corrected.values()]
            if all(abs(angle) <= ROTATED_FROM for angle in angles):
                break
        return Detections.joined(list(parts.values())) if doubtful else faces

    def _detect_sideways(self, pixels: Pixels) -> list[Detections]:
        """Return the faces that are found with the picture rotated by 90, 180 and 270 degrees."""
        height, width = pixels.shape[:2]
        small = scaled(pixels, min(1.0, SIDE_VIEW_PX / max(height, width)))
        scale = (width / small.shape[1], height / small.shape[0])
        candidates = []
        for side in (1, 2, 3):
            (seen,) = self._yunet.find([np.ascontiguousarray(np.rot90(small, side))], SIDE_CANDIDATE)
            seen = undo_quarter_turns(nms(seen), side, small.shape[1], small.shape[0]).mapped(scale)
            candidates += [(seen.take(np.array([index])), 90.0 * side) for index in range(len(seen))]
        candidates.sort(key=lambda candidate: -candidate[0].scores[0])
        faces = [
            self._rotation.confirm(pixels, candidate, degrees)
            for candidate, degrees in candidates[:MAX_SIDE_CANDIDATES]
        ]
        return [face.take(np.flatnonzero(face.scores >= SIDE_ACCEPTED)) for face in faces]

    def _first_pass(self, pixels: Pixels) -> list[Detections]:
        """Return the candidates of the whole picture at two scales and, if it is large, of its tiles."""
        height, width = pixels.shape[:2]
        area = float(np.clip(height * width / 4, *VIEW_AREA_PX))
        scale = min(1.0, (area / (height * width)) ** 0.5)
        if max(height, width) < MIN_VIEW_SIDE_PX:
            scale = MIN_VIEW_SIDE_PX / max(height, width)
        view = scaled(pixels, scale)
        parts = [self._detect_in_view(view, pixels)]
        long_side = max(view.shape[:2])
        if long_side > 2 * SMALL_VIEW_SIDE_PX:
            found = self._detect_in_view(scaled(view, SMALL_VIEW_SIDE_PX / long_side), pixels)
            large_face = found.sides.max(axis=1) >= SMALL_VIEW_FACE_SHARE * max(height, width)
            parts.append(found.take(np.flatnonzero(large_face)))
        if scale <= 0.5:
            parts += self._detect_in_tiles(pixels)
        return parts

    def _detect_in_view(self, view: Pixels, pixels: Pixels) -> Detections:
        """Return the candidates in `view`, a scaled copy of `pixels`, in the coordinates of `pixels`."""
        (found,) = self._yunet.find([view], CANDIDATE)
        return found.mapped((pixels.shape[1] / view.shape[1], pixels.shape[0] / view.shape[0]))

    def _detect_in_tiles(self, pixels: Pixels) -> list[Detections]:
        """Return the candidates in tiles with fine detail.

        Small faces are kept from DETAIL_CANDIDATE up; larger ones from CANDIDATE up, unless the tile's edge
        may have cut them.
        """
        parts = []
        for tile in tiles.select_tiles(pixels):
            (found,) = self._yunet.find([tile.crop(pixels)], DETAIL_CANDIDATE)
            found = fast_nms(found)
            cut = ((found.boxes < TILE_EDGE_PX) | (found.boxes > tile.input_px - TILE_EDGE_PX)).any(axis=1)
            found = found.mapped(tile.side_px / tile.input_px, (tile.left, tile.top))
            small = found.sides.max(axis=1) < SMALL_FACE_PX
            parts.append(found.take(np.flatnonzero(small | (~cut & (found.scores >= CANDIDATE)))))
        return parts

    def _verify(self, pixels: Pixels, candidates: Detections) -> Detections:
        """Rescore each doubtful candidate.

        `candidates` are sorted best first. If more than MAX_VERIFIED are doubtful, the rest only get a lower
        score.
        """
        doubtful = np.flatnonzero(candidates.scores < CERTAIN)
        parts = [candidates.take(np.flatnonzero(candidates.scores >= CERTAIN))]
        for start in range(0, min(len(doubtful), MAX_VERIFIED), BATCH):
            part = doubtful[start : min(start + BATCH, MAX_VERIFIED)]
            parts.append(self._rescore(pixels, candidates.take(part)))
        unseen = candidates.take(doubtful[MAX_VERIFIED:])
        parts.append(replace(unseen, scores=unseen.scores - np.float32(UNVERIFIED_PENALTY)))
        return Detections.joined(parts)

    def _rescore(self, pixels: Pixels, candidates: Detections) -> Detections:
        """Return the candidates with the mean of three scores and the better of their two boxes."""
        windows = [window(pixels, box, WINDOW) for box in candidates.boxes]
        boxes, points = candidates.boxes.copy(), candidates.points.copy()
        again, second = np.zeros(len(candidates), np.float32), np.zeros(len(candidates), np.float32)
        found = self._yunet.find([view.resized(YUNET_WINDOW_PX) for view in windows], CANDIDATE / 2)
        for index, (view, seen) in enumerate(zip(windows, found, strict=True)):
            seen = _best_match(view.to_picture(seen, YUNET_WINDOW_PX), candidates.boxes[index])
            if len(seen):
                (again[index],) = seen.scores
                if again[index] > candidates.scores[index]:
                    boxes[index], points[index] = seen.boxes[0], seen.points[0]
        small = candidates.sides.max(axis=1) < SMALL_FACE_PX
        first = np.where(small, np.maximum(candidates.scores, again), candidates.scores)
        # CenterFace is the most expensive: run it only if its score could still lift the mean to ACCEPTED.
        open_rows = np.flatnonzero(first + again + 1 >= 3 * ACCEPTED)
        if len(open_rows):
            second[open_rows] = self._centerface.agreement(
                [windows[index].resized(CENTERFACE_WINDOW_PX) for index in open_rows],
                np.stack(
                    [windows[i].to_window(candidates.boxes[i], CENTERFACE_WINDOW_PX) for i in open_rows]
                ),
            )
        return Detections(boxes, points, np.asarray((first + again + second) / 3, np.float32))


def _best_match(seen: Detections, box: Floats) -> Detections:
    """Return the best detection (N = 1) that matches `box`, or none."""
    near = np.flatnonzero(iou(box, seen.boxes) >= MATCH_IOU)
    return seen.take(near[np.argsort(-seen.scores[near], kind="stable")[:1]])
