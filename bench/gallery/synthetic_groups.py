"""Groups of synthetic faces, their exact scan, and the HNSW index beside it.

Run in the environment of the services: `python -m bench.gallery.synthetic_groups fill|index SIZE POPULATION`,
with the file of a population (population.py).
"""

from __future__ import annotations

import io
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import psutil

from bench.gallery.population import Population

if TYPE_CHECKING:  # at run time, only after Django is set up
    from inference.results import Template

BATCH = 2000
PROBES = 200
TOPS = (5, 100)
COPY = """
COPY gallery_face (id, group_id, person_id, call_id, vector, vector_remainder, model_version, quality,
                   consent_reference, created_at) FROM STDIN
"""


def main(step: str, size: int, population: Population) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "facecloud.settings")
    import django

    django.setup()
    {"fill": fill, "index": index}[step](size, population)


def fill(size: int, population: Population) -> None:
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
    _insert(Group.objects.get(app=app, group_id=f"n{size}"), size, population, at)
    _vacuum()
    for top in TOPS:
        _found, cost = _searched(size, population, top)
        print(f"  exact scan of {size}, in the database and this process, top {top}: {cost}")


def index(size: int, population: Population) -> None:
    """Enter the group into the index; print its cost and recall. The group stays in the index."""
    from django.utils import timezone

    from gallery.models import Group
    from gallery.vectors import indexing

    exact = {top: _searched(size, population, top)[0] for top in TOPS}
    started = time.perf_counter()
    indexing._enter(Group.objects.get(group_id=f"n{size}"), timezone.now())
    print(f"  HNSW: {size} faces indexed in {time.perf_counter() - started:.0f} s")
    _vacuum()
    for top in TOPS:
        found, cost = _searched(size, population, top)
        both = sum(len(set(a) & set(b)) for a, b in zip(exact[top], found, strict=True))
        first = sum(a[0] == b[0] for a, b in zip(exact[top], found, strict=True))
        print(
            f"  HNSW, top {top}: {cost}, recall {both / sum(map(len, exact[top])):.3f}, "
            f"of the first {first / PROBES:.3f}"
        )


def _searched(size: int, population: Population, top: int) -> tuple[list[list[str]], str]:
    """Return the results of the probes; their median time, and the mean CPU time of both processes."""
    from django.db import connection
    from django.utils import timezone

    from gallery import search
    from gallery.models import Group

    group = Group.objects.get(group_id=f"n{size}")
    random = np.random.default_rng(size + 1)
    people = next(_people(size, population))
    chosen = [people[number] for number in random.integers(0, len(people), PROBES)]
    probes = population.second_pictures(chosen, random)
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


def _people(size: int, population: Population) -> Iterator[Sequence[Template]]:
    """Yield the templates of the group in batches; the same ones each time."""
    random = np.random.default_rng(size)
    for first in range(0, size, BATCH):
        yield population.people(min(BATCH, size - first), random)


def _insert(group: Any, size: int, population: Population, at: Any) -> None:
    """Insert synthetic faces, rotated in one step."""
    from django.db import connection

    from gallery.models import Group, Person
    from gallery.vectors import keys
    from inference.calibration import scoring

    version = scoring.template_version()
    rotation = keys.rotation(group)
    Group.objects.filter(pk=group.pk).update(model_version=version)
    first = 0
    for templates in _people(size, population):
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
    main(sys.argv[1], int(sys.argv[2]), Population.load(Path(sys.argv[3])))
