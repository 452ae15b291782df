"""Show detections that match no label: `bin/bench false_boxes --data DIR --out FOLDER`.

Labels are incomplete, so false boxes are also judged by eye. Writes contact sheets as PNG files. They show
faces of research data and must not be committed to a repository.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from bench import datasets, metrics
from bench.output import progress
from inference.arrays import Pixels
from inference.models.setup import ensure_models
from inference.pipeline.engine import Engine
from inference.results import Face

MODELS_DIR = Path(__file__).resolve().parents[2] / "var" / "models"
TILE_PX, COLUMNS, ROWS = 160, 8, 6
# The side of a tile, as a multiple of the box's longer side.
SURROUNDINGS = 2.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="bin/bench false_boxes", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the evaluation folder")
    parser.add_argument("--out", type=Path, required=True, help="where the sheets are written")
    parser.add_argument("--min-height", type=int, default=32, help="ignore boxes below this height, px")
    parser.add_argument("--models", type=Path, default=MODELS_DIR)
    arguments = parser.parse_args()
    ensure_models(arguments.models)
    tiles = false_boxes(arguments.data, Engine(arguments.models), arguments.min_height)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, len(tiles), COLUMNS * ROWS), 1):
        sheet = _sheet(tiles[start : start + COLUMNS * ROWS])
        cv2.imwrite(str(arguments.out / f"false-boxes-{number}.png"), sheet)
    print(f"{len(tiles)} boxes of {arguments.min_height} px and more without a label, in {arguments.out}")
    return 0


def false_boxes(data: Path, engine: Engine, min_height_px: int) -> list[Pixels]:
    """Return a tile for each box that matches no label, most probable first."""
    tiles: list[tuple[float, Pixels]] = []
    for picture in progress(datasets.boxed(data), "false boxes"):
        faces = engine.detect(picture.path.read_bytes()).faces
        faces = tuple(sorted(faces, key=lambda face: -face.probability))
        truth = np.array(picture.boxes, float).reshape(-1, 4)
        truth[:, 2:] += truth[:, :2]
        partner, _ = metrics.match(metrics.corners(faces), truth)
        pixels = np.asarray(cv2.imread(str(picture.path), cv2.IMREAD_COLOR), np.uint8)
        tiles += [
            (face.probability, _tile(pixels, face))
            for face, mate in zip(faces, partner, strict=True)
            if mate < 0 and face.box.height >= min_height_px
        ]
    return [tile for _, tile in sorted(tiles, key=lambda row: -row[0])]


def _tile(pixels: Pixels, face: Face) -> Pixels:
    """Return the box with its surroundings, black outside the picture, labelled with its probability."""
    box = face.box
    side = round(SURROUNDINGS * max(box.width, box.height))
    padded = cv2.copyMakeBorder(pixels, side, side, side, side, cv2.BORDER_CONSTANT)
    left, top = box.left + box.width // 2 + side // 2, box.top + box.height // 2 + side // 2
    tile = cv2.resize(padded[top : top + side, left : left + side], (TILE_PX, TILE_PX))
    share = TILE_PX / side
    half = (round(box.width * share / 2), round(box.height * share / 2))
    middle = TILE_PX // 2
    first, last = (middle - half[0], middle - half[1]), (middle + half[0], middle + half[1])
    cv2.rectangle(tile, first, last, (0, 255, 0))
    label = f"{face.probability:.2f} {box.height} px"
    cv2.putText(tile, label, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 255))
    return np.asarray(tile, np.uint8)


def _sheet(tiles: list[Pixels]) -> Pixels:
    blank = np.zeros((TILE_PX, TILE_PX, 3), np.uint8)
    tiles = tiles + [blank] * (-len(tiles) % COLUMNS)
    rows = [np.hstack(tiles[start : start + COLUMNS]) for start in range(0, len(tiles), COLUMNS)]
    return np.asarray(np.vstack(rows), np.uint8)
