"""Where the faces of a picture are: a quick look at the whole, detail where there is detail, and a second
look at whatever is in doubt.

1. The whole picture at two scales: about 0.3 MP (up to 0.5 MP for large pictures), where YuNet is at its
   best, and 256 px for faces that fill the frame.
2. Pictures that step 1 shrank by more than half: those tiles of a finer scale that hold fine detail at all,
   for small faces in large photographs.
3. Every candidate below CERTAIN again, in a window of twice its size: YuNet at 128 px, CenterFace at 96 px;
   its score is the mean of the three. The numbers behind the constants: docs/decisions/0303-detection.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from inference import tables
from inference.alignment import Points
from inference.decoding import Picture, Pixels
from inference.detections import Detections, Floats, overlaps, suppress
from inference.detector import CenterFace, YuNet

LEVEL_SIDE_PX = 1280
VIEW_AREA_PX = (307_200, 500_000)
SMALL_VIEW_SIDE_PX = 256
SMALL_VIEW_FACE_SHARE = 0.25
MIN_VIEW_SIDE_PX = 256
CANDIDATE = 0.2
DETAIL_CANDIDATE = 0.1
CERTAIN = 0.85
ACCEPTED = 0.46

TILE_PX = 192
TILE_OVERLAP_PX = 48
DETAIL_CELL_PX = 16
DETAIL_LEVEL = 9.0
MAX_TILE_SHARE = 0.6

WINDOW = 2.0
YUNET_WINDOW_PX = 128
CENTERFACE_WINDOW_PX = 96
MAX_SECOND_LOOKS = 64
PRECISE_WINDOW, PRECISE_WINDOW_PX = 2.5, 160
BATCH = 16
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
        found = self._yunet.find_all([closer, np.ascontiguousarray(closer[:, ::-1])], CANDIDATE)
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
        view = scaled(pixels, scale)
        parts = [self._view(view, pixels)]
        long_side = max(view.shape[:2])
        if long_side > 1.5 * SMALL_VIEW_SIDE_PX:
            small = scaled(view, SMALL_VIEW_SIDE_PX / long_side)
            found = self._view(small, pixels)
            large_face = found.sides.max(axis=1) >= SMALL_VIEW_FACE_SHARE * max(height, width)
            parts.append(found.take(np.flatnonzero(large_face)))
        if scale < 0.5:
            parts += self._details(pixels)
        return parts

    def _view(self, view: Pixels, pixels: Pixels) -> Detections:
        """Candidates that show in a scaled copy of `pixels`, in the coordinates of `pixels`."""
        found = self._yunet.find(view, CANDIDATE)
        return found.mapped((pixels.shape[1] / view.shape[1], pixels.shape[0] / view.shape[0]))

    def _details(self, pixels: Pixels) -> list[Detections]:
        """Candidates of the tiles that hold fine detail, at full scale."""
        tiles = detailed_tiles(pixels)
        height, width = pixels.shape[:2]
        step = TILE_PX - TILE_OVERLAP_PX
        if len(tiles) > MAX_TILE_SHARE * (height / step) * (width / step):
            return [self._yunet.find(pixels, DETAIL_CANDIDATE)]
        parts = []
        for start in range(0, len(tiles), BATCH):
            corners = tiles[start : start + BATCH]
            crops = [_padded(pixels[top : top + TILE_PX, left : left + TILE_PX]) for left, top in corners]
            for corner, found in zip(corners, self._yunet.find_all(crops, DETAIL_CANDIDATE), strict=True):
                parts.append(found.mapped(1.0, corner))
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
        windows = [window(pixels, box) for box in candidates.boxes]
        boxes, points = candidates.boxes.copy(), candidates.points.copy()
        scores, second = np.zeros(len(candidates), np.float32), np.zeros(len(candidates), np.float32)
        found = self._yunet.find_all([view.resized(YUNET_WINDOW_PX) for view in windows], CANDIDATE / 2)
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


def whole_boxes(boxes: Floats, width_px: int, height_px: int) -> npt.NDArray[np.int64]:
    """Boxes (N, 4) in whole pixels, at least 1x1 and inside the picture."""
    size = np.array([width_px, height_px])
    corners = np.clip(np.rint(boxes[:, :2]), 0, size - 1)
    ends = np.clip(np.rint(boxes[:, 2:]), corners + 1, size)
    return np.concatenate([corners, ends], axis=1).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Window:
    """A square cut out of a picture, black where it passes the edges; its corner and side in the picture."""

    pixels: Pixels
    left: int
    top: int
    side_px: int

    def resized(self, side_px: int) -> Pixels:
        return resized(self.pixels, (side_px, side_px))

    def inside(self, box: Floats, side_px: int) -> Floats:
        """A box of the picture in the pixels of the window resized to `side_px`."""
        shift = np.array([self.left, self.top] * 2, np.float32)
        return np.asarray((box - shift) * (side_px / self.side_px), np.float32)


def window(pixels: Pixels, box: Floats, times: float = WINDOW) -> Window:
    """The window around a box, `times` as large as its longer side."""
    height, width = pixels.shape[:2]
    side = max(8, round(float((box[2:] - box[:2]).max()) * times))
    left, top = (round(float(box[i] + box[i + 2]) / 2 - side / 2) for i in (0, 1))
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    cut = pixels[y0 : max(y1, y0), x0 : max(x1, x0)]
    if cut.shape[:2] != (side, side):
        black = np.zeros((side, side, 3), np.uint8)
        black[y0 - top : y0 - top + cut.shape[0], x0 - left : x0 - left + cut.shape[1]] = cut
        cut = black
    return Window(cut, left, top, side)


def scaled(pixels: Pixels, scale: float) -> Pixels:
    """The whole picture at another scale: halved, which is quick, then by straight lines.

    Down to .7 straight lines alone hardly alias; below, they would, and false boxes doubled in the
    measurement.
    """
    height, width = pixels.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    while size[0] < 0.7 * pixels.shape[1]:
        half = (pixels.shape[1] // 2, pixels.shape[0] // 2)
        pixels = np.asarray(cv2.resize(pixels, half, interpolation=cv2.INTER_AREA), np.uint8)
    if pixels.shape[1::-1] == size:
        return pixels
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """To (width, height); shrunk by area, enlarged by straight lines.

    Shrunk by halves as far as that goes: OpenCV is ten times as quick where the factor is whole.
    """
    while pixels.shape[1] >= 2 * size[0] and pixels.shape[0] >= 2 * size[1]:
        pixels = _halved(pixels)
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return pixels
    smaller = size[0] < width or size[1] < height
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=method), np.uint8)


def _halved(pixels: Pixels) -> Pixels:
    """By area; an odd last row or column is left out."""
    half_height, half_width = pixels.shape[0] // 2, pixels.shape[1] // 2
    even = pixels[: 2 * half_height, : 2 * half_width]
    return np.asarray(cv2.resize(even, (half_width, half_height), interpolation=cv2.INTER_AREA), np.uint8)


def _padded(tile: Pixels) -> Pixels:
    if tile.shape[:2] == (TILE_PX, TILE_PX):
        return tile
    full = np.zeros((TILE_PX, TILE_PX, 3), np.uint8)
    full[: tile.shape[0], : tile.shape[1]] = tile
    return full


def detailed_tiles(pixels: Pixels) -> list[tuple[int, int]]:
    """(left, top) of the tiles in which some cell of 16x16 px would lose by being halved: a small face
    would, an enlarged picture or a blurred background would not.
    """
    height, width = pixels.shape[:2]
    green = cv2.extractChannel(pixels, 1)
    coarse = cv2.resize(green, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
    lost = cv2.absdiff(green, cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR))
    grid = (max(1, width // DETAIL_CELL_PX), max(1, height // DETAIL_CELL_PX))
    whole_cells = lost[: grid[1] * DETAIL_CELL_PX, : grid[0] * DETAIL_CELL_PX]
    detail = cv2.resize(whole_cells, grid, interpolation=cv2.INTER_AREA) >= DETAIL_LEVEL
    tiles = []
    step = TILE_PX - TILE_OVERLAP_PX
    for top in range(0, max(1, height - TILE_OVERLAP_PX), step):
        for left in range(0, max(1, width - TILE_OVERLAP_PX), step):
            rows = slice(top // DETAIL_CELL_PX, (top + TILE_PX) // DETAIL_CELL_PX)
            columns = slice(left // DETAIL_CELL_PX, (left + TILE_PX) // DETAIL_CELL_PX)
            if detail[rows, columns].any():
                tiles.append((left, top))
    return tiles
