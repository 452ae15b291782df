"""Run face_recognition in its own environment, started by bench/engine/peers.py.

Each request and each reply is one line of JSON.
"""

import json
import sys
import time

import face_recognition


def detect(path: str) -> dict[str, object]:
    return {"faces": len(face_recognition.face_locations(face_recognition.load_image_file(path)))}


def compare(first: str, second: str) -> dict[str, object]:
    """Return the distance of the largest faces, or 9 if one of the pictures has no face."""
    encodings = []
    for path in (first, second):
        image = face_recognition.load_image_file(path)
        boxes = sorted(
            face_recognition.face_locations(image), key=lambda box: (box[0] - box[2]) * (box[1] - box[3])
        )
        encodings.append(face_recognition.face_encodings(image, boxes[:1]))
    if not all(encodings):
        return {"distance": 9.0}
    return {"distance": float(face_recognition.face_distance([encodings[0][0]], encodings[1][0])[0])}


for line in sys.stdin:
    what, *paths = json.loads(line)
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    answer = {"detect": detect, "compare": compare}[what](*paths)
    answer["cpu_ms"] = (time.process_time() - cpu_s) * 1000
    answer["wall_ms"] = (time.perf_counter() - wall_s) * 1000
    print(json.dumps(answer), flush=True)
