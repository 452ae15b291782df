"""A call is charged if and only if its answer was sent, despite failures after the settle."""

import fcntl
import os
import socket
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import DatabaseError, OperationalError

from accounts.models import App
from billing import quota
from billing.models import Debit
from faceapi import answers, calls, errors
from faceapi.answers import AnswerResponse, Journal, NoteFile, notes_in
from faceapi.calls import CallContext
from faceapi.errors import ApiError
from faceapi.models import Call
from facecloud.web.response_buffer import Budget, Outbox
from tests.conftest import REPOSITORY
from tests.faceapi.usage.test_reconcile import breaks, held

LATE = timedelta(seconds=quota.CONFIRM_WITHIN_S)


# --- the rules, in this process ---------------------------------------------------


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    """Return a journal in a separate folder, which is flushed only by the test."""
    monkeypatch.setattr(settings, "VAR_DIR", tmp_path)
    monkeypatch.setattr(Journal, "start", lambda self: None)
    made = Journal()
    monkeypatch.setattr(answers, "journal", made)
    return made


def settled(app: App, at: datetime) -> CallContext:
    call = held(app, at)
    assert calls.succeed(call, at) == 2
    return call


def response_to(call: CallContext) -> AnswerResponse:
    response = AnswerResponse(b"{}")
    response.call = call
    return response


def state_of(call: CallContext) -> tuple[str, int, int]:
    """Return the state of the debit, and the code and the units of the record."""
    recorded = Call.objects.get(pk=call.id)
    return Debit.objects.get(pk=call.id).state, recorded.code, recorded.units


def test_an_answer_that_was_sent_is_charged(app: App, now: datetime, journal: Journal) -> None:
    call = settled(app, now)
    assert state_of(call) == ("settling", 0, 2)
    response = response_to(call)
    assert b"".join(response) == b"{}"
    response.close()
    journal.flush()
    assert state_of(call) == ("settled", 0, 2)
    assert calls.withdraw_unconfirmed(now + LATE) == 0
    assert breaks() == []


def test_an_answer_that_could_not_be_sent_costs_nothing(app: App, now: datetime, journal: Journal) -> None:
    call = settled(app, now)
    response = response_to(call)
    next(iter(response))  # then the server fails to write it
    response.close()
    journal.flush()
    assert state_of(call) == ("returned", errors.BODY_INCOMPLETE, 0)
    assert app.usage.get().code == errors.BODY_INCOMPLETE
    assert breaks() == []


def test_an_answer_that_a_slow_client_never_read_costs_nothing(
    app: App, now: datetime, journal: Journal
) -> None:
    for gone, expected in ((True, ("returned", 4019, 0)), (False, ("settled", 0, 2))):
        call = settled(app, now)
        response = AnswerResponse(b"x" * 4_000_000)
        ours, client = socket.socketpair()
        with ours, client:
            ours.settimeout(5)
            response.call, response.sock = call, Outbox(ours, Budget(8_000_000))
            for piece in response:
                response.sock.sendall(piece)
            response.close()
            journal.flush()
            assert state_of(call)[0] == "settling"
            if gone:
                response.sock.close()
            else:
                client.setblocking(False)
                while not response.sock.flush():
                    client.recv(1_000_000)
        journal.flush()
        assert state_of(call) == expected
    assert breaks() == []


def test_unconfirmed_answers_are_refunded(app: App, now: datetime, journal: Journal) -> None:
    kept, lost = settled(app, now), settled(app, now)
    quota.confirm({kept.id: 2})
    assert calls.withdraw_unconfirmed(now + LATE - timedelta(seconds=1)) == 0
    assert calls.withdraw_unconfirmed(now + LATE) == 1
    assert state_of(lost) == ("returned", errors.OVERLOADED, 0)
    assert quota.remaining(app, "face_detect", now) == 998
    assert sorted(app.usage.values_list("code", "calls", "units")) == [(0, 1, 2), (5003, 1, 0)]
    assert quota.confirm({lost.id: 2}) == {lost.id: "returned"}  # too late
    assert breaks() == []


def test_a_call_that_fails_after_its_settle_is_recorded_with_its_final_code(app: App, now: datetime) -> None:
    call = settled(app, now)
    for _again in range(2):  # as after a commit that was not acknowledged
        calls.fail(call, ApiError(errors.BODY_INCOMPLETE), now)
        assert state_of(call) == ("returned", errors.BODY_INCOMPLETE, 0)
        assert list(app.usage.values_list("code", "calls", "units")) == [(errors.BODY_INCOMPLETE, 1, 0)]
    assert breaks() == []


def test_an_answer_that_states_other_units_is_not_charged(app: App, now: datetime, journal: Journal) -> None:
    call = settled(app, now)
    journal.sent(call.id, 1)
    journal.flush()
    assert state_of(call)[0] == "settling"


def test_notes_are_kept_while_the_database_is_down(
    app: App, now: datetime, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, failed = settled(app, now), settled(app, now)
    with monkeypatch.context() as away:

        def refuse(*_arguments: object) -> None:
            raise OperationalError

        away.setattr("django.db.backends.utils.CursorWrapper.execute", refuse)
        journal.sent(sent.id, 2)
        journal.withdraw(failed, ApiError(errors.OVERLOADED))
        for _again in range(2):
            with pytest.raises(DatabaseError):
                journal.flush()
    journal.flush()
    assert state_of(sent) == ("settled", 0, 2)
    assert state_of(failed) == ("returned", errors.OVERLOADED, 0)
    assert breaks() == []


def test_the_notes_of_a_process_that_died_are_adopted(app: App, now: datetime, journal: Journal) -> None:
    call = settled(app, now)
    script = (
        "import os, sys; from uuid import UUID; import django; django.setup()\n"
        "from faceapi.answers import NoteFile\n"
        "notes = NoteFile.new(); notes.append(UUID(sys.argv[1]), 2)\n"
        "print('noted', flush=True); sys.stdin.read()"
    )
    environment = {
        **os.environ,
        "FACECLOUD_VAR_DIR": str(settings.VAR_DIR),
        "DJANGO_SETTINGS_MODULE": "facecloud.settings",
    }
    owner = subprocess.Popen(
        [sys.executable, "-c", script, str(call.id)],
        cwd=REPOSITORY, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"noted\n"
        answers.adopt()
        assert state_of(call)[0] == "settling"  # the process that wrote the note is alive
    finally:
        owner.kill()
        owner.communicate()
    (left,) = (settings.VAR_DIR / "answers").iterdir()
    left.write_bytes(left.read_bytes() + b"half a note")
    answers.adopt()
    assert state_of(call)[0] == "settled"
    assert list((settings.VAR_DIR / "answers").iterdir()) == []


def test_hidden_note_files_of_dead_processes_are_deleted(journal: Journal) -> None:
    """A process that dies before it renames its file leaves a hidden one without notes."""
    folder = settings.VAR_DIR / "answers"
    folder.mkdir(parents=True, exist_ok=True)
    old, locked, new = (folder / f".{name}" for name in ("1-old", "2-locked", "3-new"))
    for path in (old, locked, new):
        path.touch()
    for path in (old, locked):
        os.utime(path, (0, 0))
    with locked.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        answers.adopt()
        assert not old.exists()
        assert locked.exists()
        assert new.exists()
    answers.adopt()
    assert not locked.exists()
    new.unlink()


def test_answers_are_sent_if_the_note_folder_is_unwritable(
    app: App, now: datetime, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "answers").write_text("not a folder")
    call = settled(app, now)
    journal.sent(call.id, 2)
    journal.flush()
    assert state_of(call)[0] == "settled"


def test_a_note_file_keeps_unconfirmed_notes(journal: Journal, now: datetime) -> None:
    ids = [calls.new_id(now) for _ in range(3)]
    notes = NoteFile.new()
    for call_id in ids:
        notes.append(call_id, 1)
    notes.replace({ids[2]: 1})
    assert notes_in(notes.path.read_bytes()) == {ids[2]: 1}
    notes.delete()
    assert not notes.path.exists()


ON_A_FULL_DISK = """
import resource
from uuid import UUID
import django
django.setup()
from faceapi import answers
from faceapi.answers import Journal
answers.PREALLOCATED_NOTES = 1
Journal.start = lambda self: None
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
journal = Journal()
resource.setrlimit(resource.RLIMIT_FSIZE, (50, most))  # two and a half notes
for number in (1, 2, 3):
    journal.sent(UUID(int=number), 1)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
journal.sent(UUID(int=4), 1)
"""


def test_a_full_disk_leaves_only_complete_notes(tmp_path: Path, product_environment: dict[str, str]) -> None:
    environment = product_environment | {"FACECLOUD_VAR_DIR": str(tmp_path)}
    environment["DJANGO_SETTINGS_MODULE"] = "facecloud.settings"
    subprocess.run(
        [sys.executable, "-c", ON_A_FULL_DISK], cwd=REPOSITORY, env=environment, check=True, timeout=120
    )
    (notes,) = (tmp_path / "answers").iterdir()
    assert [call_id.int for call_id in notes_in(notes.read_bytes())] == [1, 2, 4]


def test_notes_move_to_a_file_once_one_can_be_created(
    app: App, now: datetime, journal: Journal, tmp_path: Path
) -> None:
    folder = tmp_path / "answers"
    folder.write_text("not a folder")
    first, second = settled(app, now), settled(app, now)
    journal.sent(first.id, 2)
    folder.unlink()
    journal.sent(second.id, 2)
    (notes,) = folder.iterdir()
    assert notes_in(notes.read_bytes()) == {first.id: 2, second.id: 2}


def test_an_answer_that_is_noted_while_the_journal_ends_is_charged(
    app: App, now: datetime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The note is made when the thread deletes its file, unless the lock defers it."""
    monkeypatch.setattr(settings, "VAR_DIR", tmp_path)
    call, journal = settled(app, now), Journal()
    noting = threading.Thread(target=journal.sent, args=(call.id, 2))
    unlink = Path.unlink

    def note_and_unlink(path: Path, missing_ok: bool = False) -> None:
        if noting.ident is None:
            is_deferred = journal._lock.locked()
            noting.start()
            if not is_deferred:
                noting.join()
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", note_and_unlink)
    journal.start()
    journal.stop()
    noting.join()
    journal.stop()
    assert state_of(call)[0] == "settled"
    assert list((tmp_path / "answers").iterdir()) == []


def test_a_note_file_is_preallocated(journal: Journal) -> None:
    notes = NoteFile.new()
    assert notes.path.stat().st_blocks * 512 >= answers.PREALLOCATED_NOTES * 20
    assert notes_in(notes.path.read_bytes()) == {}
    notes.delete()
