"""Groups of synthetic faces, their exact scan, and the HNSW index beside it.

Run in the environment of the services: `python -m bench.gallery.synthetic_groups fill|index SIZE`. The
vectors are random, the hardest case for an index: no stranger is much more similar than another.
"""

from __future__ import annotations

import io
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import psutil

Floats = npt.NDArray[np.float64]
BATCH = 2000
PROBES = 200
TOPS = (5, 100)
# A second picture of a person has a cosine of 0.64 to the first, which is less than most real ones have.
NOISE = 1.2
COPY = """
COPY gallery_face (id, group_id, person_id, call_id, vector, vector_remainder, model_version, quality,
                   consent_reference, created_at) FROM STDIN
"""


def main(step: str, size: int) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "facecloud.settings")
    import django

    django.setup()
    {"fill": fill, "index": index}[step](size)


def fill(size: int) -> None:
    """Create the group `n<size>`, and print the cost of an exact scan."""
    from django.utils import timezone

    from accounts.models import App
    from gallery import groups
    from gallery.groups import Wanted
    from gallery.models import Group
    from gallery.trail import Actor

    at = timezone.now()
    app = App.objects.earliest("pk")
    groups.add(app, [Wanted(f"n{size}", "bench")], at, Actor())
    _insert(Group.objects.get(app=app, group_id=f"n{size}"), size, at)
    _vacuum()
    for top in TOPS:
        _found, cost = _searched(size, top)
        print(f"  exact scan of {size}, in the database and this process, top {top}: {cost}")


def index(size: int) -> None:
    """Enter the group into the index; print its cost and recall. The group stays in the index."""
    from django.utils import timezone

    from gallery.models import Group
    from gallery.vectors import indexing

    exact = {top: _searched(size, top)[0] for top in TOPS}
    started = time.perf_counter()
    indexing._enter(Group.objects.get(group_id=f"n{size}"), timezone.now())
    print(f"  HNSW: {size} faces indexed in {time.perf_counter() - started:.0f} s")
    _vacuum()
    for top in TOPS:
        found, cost = _searched(size, top)
        both = sum(len(set(a) & set(b)) for a, b in zip(exact[top], found, strict=True))
        first = sum(a[0] == b[0] for a, b in zip(exact[top], found, strict=True))
        print(
            f"  HNSW, top {top}: {cost}, recall {both / sum(map(len, exact[top])):.3f}, "
            f"of the first {first / PROBES:.3f}"
        )


def _searched(size: int, top: int) -> tuple[list[list[str]], str]:
    """Return the results of the probes; their median time, and the mean CPU time of both processes."""
    from django.db import connection
    from django.utils import timezone

    from gallery import search
    from gallery.models import Group

    group = Group.objects.get(group_id=f"n{size}")
    random = np.random.default_rng(size + 1)
    people = next(_templates(size))
    probes = [_second_shot(people[number], random) for number in random.integers(0, len(people), PROBES)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        both = psutil.Process(cursor.fetchone()[0]), psutil.Process()

    def spent_s() -> float:
        return sum(process.cpu_times().user + process.cpu_times().system for process in both)

    at = timezone.now()
    search.nearest(group, probes[0], top=top, at=at)
    found, times, before_s = [], [], spent_s()
    for probe in probes:
        started = time.perf_counter()
        found.append([match.person_id for match in search.nearest(group, probe, top=top, at=at)])
        times.append((time.perf_counter() - started) * 1000)
    cpu_ms = (spent_s() - before_s) * 1000 / len(probes)
    return found, f"{statistics.median(times):.1f} ms, {cpu_ms:.1f} CPU-ms"


def _templates(size: int) -> Iterator[Sequence[Any]]:
    """Yield the templates of the group in batches; the same ones each time."""
    from inference.results import Quality, Template

    random = np.random.default_rng(size)
    for first in range(0, size, BATCH):
        count = min(BATCH, size - first)
        halves = [_unit(random.normal(size=(count, 128))) for _ in range(2)]
        constants = random.normal(-2, 0.3, count)
        yield [
            Template(tuple(a), tuple(b), float(c), Quality(1.0, ()))
            for a, b, c in zip(*(half.tolist() for half in halves), constants, strict=True)
        ]


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def _second_shot(template: Any, random: np.random.Generator) -> Any:
    """Return another template of the same synthetic person."""

    def near(vector: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(_unit(np.array(vector) + random.normal(size=128) * NOISE / np.sqrt(128)).tolist())

    return replace(template, primary=near(template.primary), secondary=near(template.secondary))


def _insert(group: Any, size: int, at: Any) -> None:
    """Insert synthetic faces, rotated in one step."""
    from django.db import connection

    from gallery.models import Group, Person
    from gallery.vectors import keys
    from inference.calibration import scoring

    version = scoring.template_version()
    rotation = keys.rotation(group)
    Group.objects.filter(pk=group.pk).update(model_version=version)
    first = 0
    for templates in _templates(size):
        vectors = np.array([scoring.gallery_vector(template) for template in templates]) @ rotation.T
        coarse = vectors.astype(np.float16)
        rest = (vectors - coarse).astype(np.float16)
        persons = Person.objects.bulk_create(
            Person(group=group, person_id=f"p{first + n}", tag=uuid4().hex, created_at=at)
            for n in range(len(templates))
        )
        lines = []
        for n, person in enumerate(persons):
            vectors_of_face = [f"[{','.join(map(str, half[n].tolist()))}]" for half in (coarse, rest)]
            ids = (uuid4(), group.pk, person.pk, uuid4())
            lines.append("\t".join(map(str, [*ids, *vectors_of_face, version, 1.0, "bench", at])))
        with connection.cursor() as cursor:
            cursor.copy_expert(COPY, io.StringIO("\n".join(lines)))
        first += len(templates)


def _vacuum() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE gallery_face, gallery_person")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
