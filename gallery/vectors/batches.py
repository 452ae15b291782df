"""Change the stored faces of a group in small batches, beside enrolments, searches and deletions.

PostgreSQL gives a changed face new index entries, of which the one in the HNSW index takes milliseconds, and
its row stays locked until the batch ends. So a deletion waits for one batch at most: batches are small, they
skip locked faces, and each begins only when no process writes the App's gallery.
"""

import logging
from collections.abc import Callable, Iterable
from uuid import UUID

from django.db import DatabaseError, transaction
from django.db.models import QuerySet

from gallery.locks import lock
from gallery.models import Face, Group

SIZE = 200

log = logging.getLogger(__name__)


def each(groups: Iterable[Group], work: Callable[[Group], int]) -> int:
    """Return the sum of `work` over these groups.

    If it fails for a group, the others are still processed; the last error is raised at the end.
    """
    done = 0
    failure: DatabaseError | None = None
    for group in groups:
        try:
            done += work(group)
        except DatabaseError as error:
            log.exception("the faces of group %s were not all changed", group.pk)
            failure = error
    if failure is not None:
        raise failure
    return done


def change(
    group: Group,
    faces: "QuerySet[Face]",
    apply: Callable[[list[UUID]], object],
    *,
    finish: Callable[[], object] = lambda: None,
) -> int:
    """Call `apply` with the ids of all `faces`, which are of this group and no longer match once changed.

    The faces that other processes had locked are changed last, under the lock of the App, so that none is
    missed. `finish` is called in that transaction. Returns the number of faces.
    """
    changed = 0
    after: UUID | None = None  # so that a batch does not read the faces of those before it
    while True:
        with transaction.atomic():
            lock(group.app)  # wait for a writer of the gallery, and release the lock at once
        with transaction.atomic():
            some = _locked(faces if after is None else faces.filter(pk__gt=after), skip_locked=True)
            if some:
                apply(some)
        changed += len(some)
        if not some and after is None:
            break
        after = some[-1] if some else None  # once more from the start, for the skipped ones
    with transaction.atomic():
        lock(group.app)
        while some := _locked(faces, skip_locked=False):
            apply(some)
            changed += len(some)
        finish()
    return changed


def _locked(faces: "QuerySet[Face]", *, skip_locked: bool) -> list[UUID]:
    rows = faces.order_by("pk").select_for_update(no_key=True, skip_locked=skip_locked)
    return list(rows.values_list("pk", flat=True)[:SIZE])
