"""Rules for names and descriptions: one pattern, with the same result in Python and PostgreSQL."""

import re
import unicodedata

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from hypothesis import example, given, settings
from hypothesis import strategies as st

from accounts.errors import RuleError
from accounts.models import App, Region, User
from accounts.names import DESCRIPTION_PATTERN, NAME_PATTERN, SIGNS, check_app_description, check_app_name

TEXT = st.text(
    st.one_of(
        st.sampled_from(" \t\n\u3000\u00a0\u200b\u202e\u2028\ufeff人脸a" + SIGNS),
        st.characters(exclude_categories=["Cs"], exclude_characters="\x00"),
    ),
    max_size=20,
)


@pytest.mark.parametrize("text", ["门", "a" * 16, "人" * 16, "😀" * 16, "a b", "门禁-1_(东)", "é", "$()+="])
def test_valid_names_are_accepted(text: str) -> None:
    assert check_app_name(text) == text
    assert re.fullmatch(NAME_PATTERN, text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "name_empty"),
        (" \t\u3000\n", "name_empty"),
        ("a" * 17, "name_too_long"),
        ("人" * 17, "name_too_long"),
        *[(f"a{sign}b", "name_characters") for sign in "~!@#¥\uffe5%^&*"],
        ("a\nb", "name_characters"),
        ("a\x00b", "name_characters"),
        ("a\x7fb", "name_characters"),
        ("a\u2028b", "name_characters"),
        ("a\u202eb", "name_characters"),
        ("\u200b", "name_characters"),
        ("a\ud800b", "name_characters"),
    ],
)
def test_invalid_names_are_rejected(text: str, code: str) -> None:
    with pytest.raises(RuleError) as refused:
        check_app_name(text)
    assert refused.value.code == code
    assert refused.value.details["limit"] == 16


def test_surrounding_white_space_is_trimmed() -> None:
    assert check_app_name(" \u3000门 禁\t\n") == "门 禁"
    assert check_app_name(" " * 20 + "a" * 16 + " ") == "a" * 16


def test_a_description_has_at_most_28_characters() -> None:
    assert check_app_description("描" * 28) == "描" * 28
    with pytest.raises(RuleError):
        check_app_description("描" * 29)


@given(TEXT)
@example("a\u0085")
@example("\x1c a")
def test_python_and_the_pattern_accept_the_same_names(text: str) -> None:
    try:
        checked = check_app_name(text)
    except RuleError:
        assert not re.fullmatch(NAME_PATTERN, text)
    else:
        assert re.fullmatch(NAME_PATTERN, checked)
        assert not any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in checked)
        assert not set(checked) & set(SIGNS)


@pytest.mark.django_db
@settings(deadline=None, max_examples=300)
@given(st.lists(TEXT, min_size=20, max_size=20))
def test_postgresql_and_python_agree_on_the_pattern(texts: list[str]) -> None:
    with connection.cursor() as cursor:
        for pattern in (NAME_PATTERN, DESCRIPTION_PATTERN):
            cursor.execute(
                "SELECT t ~ %s FROM unnest(%s) WITH ORDINALITY AS u (t, n) ORDER BY n", [pattern, texts]
            )
            found = [row[0] for row in cursor.fetchall()]
            expected = [bool(re.fullmatch(pattern, text)) for text in texts]
            assert found == expected, [t for t, f, e in zip(texts, found, expected, strict=True) if f != e]


@pytest.mark.django_db
@pytest.mark.parametrize("wrong", ["", " a", "a ", "a#", "a\nb", "\u3000", "a\u200b"])
def test_the_database_rejects_invalid_names(wrong: str) -> None:
    alice = User.objects.create_user("alice", "alice@example.org")
    app = App(customer=alice, region=Region.objects.get(code="cn-sh6"), name="a", description="b")
    app.created_at = timezone.now()
    for field in ("name", "description"):
        setattr(app, field, wrong)
        with pytest.raises(IntegrityError), transaction.atomic():
            app.save(force_insert=True)
        setattr(app, field, "good")
    app.save(force_insert=True)
