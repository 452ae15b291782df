"""`bin/bench gallery --data DIR`: open-set identification, stated false-match rate, cost of a search.

Accuracy, on the pictures of DIR/verification: people with several pictures are enrolled with one and searched
with the others; people with one picture fill the gallery or are the strangers. Speed, on its own services:
searches over HTTP at several gallery sizes compared with face_detect of the same picture, enrolments per
second, and the recall of the HNSW index against the exact scan. Options: --only accuracy|speed, --sizes,
--indexed (sizes for which HNSW is measured too), --splits, --seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from bench import datasets

Floats = npt.NDArray[np.float64]
FPIRS = (1e-2, 1e-3)
MODELS_DIR = Path(__file__).resolve().parent.parent / "var" / "models"


def main() -> int:
    parser = argparse.ArgumentParser(prog="bin/bench gallery", description=__doc__)
    parser.add_argument("--data", type=Path, help="the evaluation folder; without it, no accuracy")
    parser.add_argument("--only", choices=["accuracy", "speed", "fill"])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--indexed", type=int, nargs="*", default=[10_000, 100_000], help="of the sizes")
    parser.add_argument("--splits", type=int, default=20, help="random choices of the strangers")
    parser.add_argument("--seconds", type=float, default=10, help="of each load")
    options = parser.parse_args()
    if options.only == "fill":  # this module in the services' environment: see `fill`
        return _fill_here(options.sizes[0], index=bool(options.indexed))
    if options.data and options.only != "speed":
        accuracy(options.data, options.splits)
    if options.only != "accuracy":
        speed(options.sizes, options.seconds, options.indexed)
    return 0


# --- accuracy --------------------------------------------------------------------


def accuracy(data: Path, splits: int) -> None:
    """Print FNIR at fixed FPIRs, and the stated and the realised false-match rate."""
    from inference.calibration import scoring
    from inference.models.setup import ensure_models
    from inference.pipeline.engine import Engine

    ensure_models(MODELS_DIR)
    engine = Engine(MODELS_DIR)
    of_person: dict[str, list[Any]] = defaultdict(list)
    for path in sorted((data / "verification" / "images").glob("*.jpg")):
        template = engine.embed(path.read_bytes())
        if template.has_face:
            of_person[datasets.person(path)].append(template)
    known = [templates for templates in of_person.values() if len(templates) > 1]
    lone = [templates[0] for templates in of_person.values() if len(templates) == 1]
    print(f"{len(known)} people with several pictures, {len(lone)} with one")
    random = np.random.default_rng(7)
    whole = len(known) + len(lone) // 2
    for size in (100, 300, 400, whole):
        rows = [_split(known, lone, size, random, scoring) for _ in range(splits)]
        mated = np.concatenate([row[0] for row in rows])
        strangers = np.concatenate([row[1] for row in rows])
        print(f"N = {size}: {len(mated)} mated searches, {len(strangers)} of strangers, in {splits} splits")
        for fpir in FPIRS:
            threshold = float(np.quantile(strangers, 1 - fpir))
            missed = float((mated < threshold).mean())
            print(f"  FPIR {fpir:g}: threshold {threshold:.1f}, FNIR {missed:.4f}")
        for confidence in (60.0, 70.0, 80.0):
            stated = 1 - (1 - scoring.false_accept_rate(confidence)) ** size
            realised = float((strangers >= confidence).mean())
            print(f"  from {confidence:g}: stated {stated:.4f}, among any strangers {realised:.4f}")
    if (data / "cohort").is_dir():
        _look_alikes(data, engine, scoring)


def _split(
    known: Sequence[Any], lone: Sequence[Any], size: int, random: np.random.Generator, scoring: Any
) -> tuple[Floats, Floats]:
    """Return each mated search's confidence (-1 if another person ranks higher), and each stranger's best."""
    people = [known[number] for number in random.permutation(len(known))]
    others = [lone[number] for number in random.permutation(len(lone))]
    enrolled, probes = [], []
    for number, templates in enumerate(people[:size]):
        first, *rest = [templates[at] for at in random.permutation(len(templates))]
        enrolled.append(first)
        probes += [(number, template) for template in rest]
    fillers = max(0, size - len(enrolled))
    enrolled += others[:fillers]
    strangers = others[fillers:]
    gallery = np.array([scoring.gallery_vector(template) for template in enrolled])
    mated = []
    for number, template in probes:
        products = gallery @ np.array(scoring.probe_vector(template))
        best = int(products.argmax())
        mated.append(scoring.confidence_of(float(products[best]), template) if best == number else -1.0)
    found = [
        scoring.confidence_of(float((gallery @ np.array(scoring.probe_vector(one))).max()), one)
        for one in strangers
    ]
    return np.array(mated), np.array(found)


def _look_alikes(data: Path, engine: Any, scoring: Any) -> None:
    """Print stated and realised rates among people of one gender, age group and ethnic group."""
    from bench.strangers import ADULT, age_group

    cells: dict[tuple[str, str, str], list[tuple[str, Any]]] = defaultdict(list)
    for member in datasets.cohort(data):
        if member.age >= ADULT and member.group:
            template = engine.embed(datasets.padded_png(member.path))
            if template.has_face:
                cell = member.gender, age_group(member.age), member.group
                cells[cell].append((member.person, template))
    totals: dict[float, list[tuple[float, float, int]]] = defaultdict(list)
    for rows in cells.values():
        if len(rows) < 30:
            continue
        owners = np.array([owner for owner, _template in rows])
        vectors = np.array([scoring.gallery_vector(template) for _owner, template in rows])
        for owner, template in rows:
            others = vectors[owners != owner]
            products = others @ np.array(scoring.probe_vector(template))
            found = np.array([scoring.confidence_of(float(product), template) for product in products])
            for confidence in (40.0, 50.0, 60.0, 70.0):
                stated = 1 - (1 - scoring.false_accept_rate(confidence)) ** len(others)
                matches = int((found >= confidence).sum())
                totals[confidence].append((stated, float(matches > 0), matches))
    for confidence, searches in totals.items():
        stated, realised, _matches = np.array(searches).mean(axis=0)
        pairs = sum(matches for _stated, _realised, matches in searches) // 2  # each is counted twice
        print(
            f"look-alikes from {confidence:g}: stated {stated:.4f}, realised {realised:.4f} of "
            f"{len(searches)} searches; {pairs} pairs"
        )


# --- speed -------------------------------------------------------------------------


def speed(sizes: Sequence[int], seconds: float, indexed: Sequence[int]) -> None:
    """Measure searches over HTTP against face_detect, enrolments per second, and the recall of the index."""
    from bench.engine.speed import sample_pictures
    from bench.load.service import running_site

    with running_site() as site:
        picture = sample_pictures(MODELS_DIR)["1 MP"]
        caller = _Caller(site)
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        rate = caller.enrolments_a_second(picture, seconds)
        print(f"enrolments: {rate:.1f} a second, one at a time")
        for size in sizes:
            _fill(site, size, index=size in indexed)
            caller = _Caller(site)  # the old connection was idle for too long
            detect = caller.detecting(picture)
            search, few = (caller.searching(picture, group) for group in (f"n{size}", "enrolled"))
            _ms(search)
            rounds = _rounds([detect, few, search], seconds)
            rows = np.array([[_cost(work) for work in (detect, few, search)] for _ in range(rounds)])
            print(f"{size} faces, {rounds} alternating rounds, load average {os.getloadavg()[0]:.1f}:")
            for column, name in enumerate(("face_detect", "search of few faces", "search")):
                took_ms, cpu_ms = rows[:, column, 0], rows[:, column, 1]
                above_ms, above_cpu_ms = np.median(rows[:, column] - rows[:, 0], axis=0)
                print(
                    f"  {name}: p50 {np.median(took_ms):.1f} ms, p95 {np.quantile(took_ms, 0.95):.1f}; "
                    f"{np.median(cpu_ms):.0f} CPU-ms; above face_detect {above_ms:.1f} ms, "
                    f"{above_cpu_ms:.0f} CPU-ms",
                    flush=True,
                )


def _fill(site: Any, size: int, *, index: bool) -> None:
    """Create a group of `size` faces in the environment of the services, and print its measurements."""
    command = [sys.executable, "-m", "bench.gallery", "--only", "fill", "--sizes", str(size)]
    command += ["--indexed", str(size)] if index else ["--indexed"]
    done = subprocess.run(command, env=site.environment, check=True, stdout=subprocess.PIPE, text=True)
    print(done.stdout.rstrip(), flush=True)


def _cost(work: Callable[[], object]) -> tuple[float, float]:
    """Return the wall-clock milliseconds of a call, and the CPU-ms of all processes of the site."""
    before = _cpu_s()
    took_ms = _ms(work)
    return took_ms, (_cpu_s() - before) * 1000


def _cpu_s() -> float:
    spent = 0.0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            spent += times.user + times.system
    return spent


def _rounds(works: Sequence[Callable[[], object]], seconds: float) -> int:
    return max(20, int(seconds * 1000 / sum(map(_ms, works))))


def _ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


class _Caller:
    """Signed calls on one connection."""

    def __init__(self, site: Any) -> None:
        self._site = site
        self._connection: http.client.HTTPConnection = site.connect()
        self._number = time.time_ns()

    def call(self, api: str, body: dict[str, Any]) -> dict[str, Any]:
        from faceapi.authentication.signing import sign

        self._number += 1
        path, query, content = f"/api/v1/{api}.json", str(self._number), json.dumps(body).encode()
        key, secret = self._site.app_key, self._site.secret
        headers = sign(key, secret, "POST", path, query, int(time.time() * 1000), content)
        self._connection.request("POST", f"{path}?{query}", content, headers)
        answer: dict[str, Any] = json.loads(self._connection.getresponse().read())
        if answer["code"] != 0:
            raise SystemExit(f"the service answered {answer}")
        return answer

    def detecting(self, picture: bytes) -> Callable[[], object]:
        from bench.load.service import inline

        body = {"data": [inline(picture)]}
        return lambda: self.call("face_detect", body)

    def searching(self, picture: bytes, group: str) -> Callable[[], object]:
        from bench.load.service import inline

        body = {"data": [inline(picture)], "options": {"groups": [group]}}
        return lambda: self.call("face_search", body)

    def enrolments_a_second(self, picture: bytes, seconds: float) -> float:
        from bench.load.service import inline

        self.call("face_group_add", {"data": [{"group_id": "enrolled"}]})
        image, consent = inline(picture), {"reference": "bench"}
        done, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            entry = {"group_id": "enrolled", "person_id": f"p{done}", "image": image, "consent": consent}
            self.call("face_person_add", {"data": [entry]})
            done += 1
        return done / (time.perf_counter() - started)


def _fill_here(size: int, *, index: bool) -> int:
    """Create a group of synthetic faces, and print the recall and the speed of the index."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "facecloud.settings")
    import django

    django.setup()
    from django.db import connection
    from django.utils import timezone

    from accounts.models import App
    from gallery import groups, search
    from gallery.groups import Wanted
    from gallery.models import Face, Group
    from gallery.trail import Actor
    from gallery.vectors import indexing

    at = timezone.now()
    app = App.objects.earliest("pk")
    groups.add(app, [Wanted(f"n{size}", "bench")], at, Actor())
    group = Group.objects.get(app=app, group_id=f"n{size}")
    random = np.random.default_rng(size)
    templates = _insert(group, size, random, at)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE gallery_face")
    group.refresh_from_db()
    probes = [_second_shot(templates[number], random) for number in random.integers(0, size, 50)]

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        both = psutil.Process(cursor.fetchone()[0]), psutil.Process()

    def spent_s() -> float:
        return sum(process.cpu_times().user + process.cpu_times().system for process in both)

    def timed(top: int) -> tuple[list[set[str]], str]:
        """Return the results, the median time, and the mean CPU time of PostgreSQL and this process."""
        found, times, before_s = [], [], spent_s()
        for probe in probes:
            started = time.perf_counter()
            found.append({match.person_id for match in search.nearest(group, probe, top=top, at=at)})
            times.append((time.perf_counter() - started) * 1000)
        cpu_ms = (spent_s() - before_s) * 1000 / len(probes)
        return found, f"{statistics.median(times):.1f} ms, {cpu_ms:.1f} CPU-ms"

    timed(5)
    exact = {top: timed(top) for top in (5, 100)}
    shown = "; ".join(f"top {top} {cost}" for top, (_found, cost) in exact.items())
    print(f"  exact scan of {size}, in the database and this process: {shown}")
    if index:
        started = time.perf_counter()
        indexing._enter(group, at)
        print(f"  HNSW: built in {time.perf_counter() - started:.0f} s")
        limit = search.MAX_SCAN_TUPLES
        for most in (limit // 100, limit // 10, limit):
            search.MAX_SCAN_TUPLES = most
            timed(5)
            for top, (expected, _cost_of_scan) in exact.items():
                found, cost = timed(top)
                recall = sum(len(a & b) for a, b in zip(expected, found, strict=True))
                first = sum(bool(a & b) for a, b in zip(expected, found, strict=True))
                print(
                    f"  HNSW, max_scan_tuples {most}, top {top}: {cost}, recall "
                    f"{recall / sum(map(len, expected)):.3f}, of the person {first / len(probes):.3f}"
                )
        Group.objects.filter(pk=group.pk).update(indexed_at=None)  # over HTTP by exact scan
        Face.objects.filter(group=group).update(indexed=False)
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE gallery_face")
    return 0


_COPY = """
COPY gallery_face (id, group_id, person_id, call_id, embedding, remainder, model_version, quality,
                   consent_reference, created_at) FROM STDIN
"""


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _insert(group: Any, size: int, random: np.random.Generator, at: Any) -> list[Any]:
    """Insert synthetic faces, rotated in one step; return the first 2 000 as probes, repeated."""
    from uuid import uuid4

    from django.db import connection

    from gallery.models import Person
    from gallery.vectors import keys
    from inference.calibration import scoring
    from inference.results import Quality, Template

    version = scoring.template_version()
    rotation = keys.rotation(group)
    kept: list[Any] = []
    type(group).objects.filter(pk=group.pk).update(model_version=version)
    for first in range(0, size, 2000):
        count = min(2000, size - first)
        halves = [_unit(random.normal(size=(count, 128))) for _ in range(2)]
        constants = random.normal(-2, 0.3, count)
        templates = [
            Template(tuple(a), tuple(b), float(c), Quality(1.0, ()))
            for a, b, c in zip(*(half.tolist() for half in halves), constants, strict=True)
        ]
        vectors = np.array([scoring.gallery_vector(template) for template in templates]) @ rotation.T
        coarse = vectors.astype(np.float16)
        rest = (vectors - coarse).astype(np.float16)
        persons = Person.objects.bulk_create(
            Person(group=group, person_id=f"p{first + n}", tag=uuid4().hex, created_at=at)
            for n in range(count)
        )
        lines = []
        for n, person in enumerate(persons):
            vectors_of_face = [f"[{','.join(map(str, half[n].tolist()))}]" for half in (coarse, rest)]
            ids = (uuid4(), group.pk, person.pk, uuid4())
            lines.append("\t".join(map(str, [*ids, *vectors_of_face, version, 1.0, "bench", at])))
        with connection.cursor() as cursor:
            cursor.copy_expert(_COPY, io.StringIO("\n".join(lines)))
        kept += templates
    return kept


def _second_shot(template: Any, random: np.random.Generator) -> Any:
    """Return another template of the same synthetic person."""
    from dataclasses import replace

    def near(vector: tuple[float, ...]) -> tuple[float, ...]:
        found = np.array(vector) + random.normal(size=128) * 0.8 / np.sqrt(128)
        return tuple((found / np.linalg.norm(found)).tolist())

    return replace(template, primary=near(template.primary), secondary=near(template.secondary))


if __name__ == "__main__":
    sys.exit(main())
