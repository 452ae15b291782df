"""Groups, persons and faces, and the audit trail of all actions on them.

Groups are written by groups.py, persons and faces by enrolment.py and retention/erasure.py, the trail by
trail.py. The operators' record pages show none of these tables.
"""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from pgvector.django import HalfVectorField, HnswIndex

from accounts.models import App

MAX_FACES_OF_PERSON = 20
ID_PATTERN = r"^[A-Za-z0-9_.-]{1,64}$"
# Two embeddings of 128 numbers, the constant of score normalisation, and one that makes all lengths the same.
DIMENSIONS = 258
FORMER_DIMENSIONS = 257  # of the version before: without the last


# The columns that contain biometrics, which lists do not need.
VECTORS = ("vector", "vector_remainder", "embedding", "remainder")


class Group(models.Model):
    """A gallery: persons of one App that are searched together, under one data key.

    `model_version` is that of its templates; it is set by the first enrolment into an empty group. `faces` is
    maintained by a database trigger. `indexed_at` is the time since which all its faces are in the HNSW
    index.
    """

    app = models.ForeignKey(App, models.PROTECT, related_name="groups", verbose_name=_("应用"))
    group_id = models.CharField(_("组 ID"), max_length=64)
    name = models.CharField(_("名称"), max_length=64)
    retention_days = models.PositiveIntegerField(_("保存天数"), null=True, blank=True)
    created_at = models.DateTimeField(_("创建时间"))
    model_version = models.CharField(_("模型版本"), max_length=32, blank=True, default="")
    faces = models.PositiveIntegerField(_("人脸数"), default=0, db_default=0)
    key_encrypted = models.TextField(editable=False)
    indexed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["group_id"]
        verbose_name = verbose_name_plural = _("人脸组")
        constraints = [
            models.UniqueConstraint(fields=["app", "group_id"], name="gallery_group_once"),
            models.CheckConstraint(condition=Q(group_id__regex=ID_PATTERN), name="gallery_group_id_form"),
            models.CheckConstraint(
                condition=Q(retention_days=None) | Q(retention_days__range=(1, 36_500)),
                name="gallery_retention_range",
            ),
        ]

    def __str__(self) -> str:
        return self.group_id


class Person(models.Model):
    """A person of a group. `tag` is the pseudonym of the person in the audit trail (vectors/keys.py)."""

    group = models.ForeignKey(Group, models.CASCADE, related_name="persons")
    person_id = models.CharField(_("人员 ID"), max_length=64)
    tag = models.CharField(max_length=32, editable=False)
    note = models.CharField(_("备注"), max_length=200, blank=True, default="")
    created_at = models.DateTimeField(_("创建时间"))

    class Meta:
        ordering = ["person_id"]
        verbose_name = verbose_name_plural = _("人员")
        constraints = [
            models.UniqueConstraint(fields=["group", "person_id"], name="gallery_person_once"),
            models.UniqueConstraint(fields=["group", "tag"], name="gallery_person_tag_once"),
            models.CheckConstraint(condition=Q(person_id__regex=ID_PATTERN), name="gallery_person_id_form"),
        ]

    def __str__(self) -> str:
        return f"person {self.pk}"


class Face(models.Model):
    """One enrolled face: its rotated template and the consent, without the picture.

    `vector` is the searched vector in half precision; `vector_remainder` is its rounding error, so that the
    score of a match is exact. `call_id` is the call that enrolled the face, which may still be withdrawn.

    `embedding` and `remainder` are the vector of the version before (vectors/conversion.py), which may still
    run during an upgrade. The next version drops them.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    group = models.ForeignKey(Group, models.CASCADE, related_name="+", db_index=False)
    person = models.ForeignKey(Person, models.CASCADE, related_name="faces")
    vector = HalfVectorField(dimensions=DIMENSIONS, null=True, editable=False)
    vector_remainder = HalfVectorField(dimensions=DIMENSIONS, null=True, editable=False)
    embedding = HalfVectorField(dimensions=FORMER_DIMENSIONS, null=True, editable=False)
    remainder = HalfVectorField(dimensions=FORMER_DIMENSIONS, null=True, editable=False)
    model_version = models.CharField(_("模型版本"), max_length=32)
    quality = models.FloatField(_("质量"))
    consent_reference = models.CharField(_("同意书编号"), max_length=100)
    consent_expires_at = models.DateTimeField(_("同意到期时间"), null=True, blank=True)
    created_at = models.DateTimeField(_("入库时间"))
    call_id = models.UUIDField(_("请求 ID"), db_index=True, editable=False)
    indexed = models.BooleanField(default=False, db_default=False, editable=False)

    class Meta:
        ordering = ["created_at", "id"]
        verbose_name = verbose_name_plural = _("人脸")
        indexes = [
            models.Index(fields=["group"], name="gallery_face_of_group"),
            models.Index(fields=["group", "created_at"], name="gallery_face_of_group_since"),
            models.Index(
                fields=["consent_expires_at"],
                condition=Q(consent_expires_at__isnull=False),
                name="gallery_consent_end",
            ),
            # Contains only the faces of groups that are too large for an exact scan (vectors/indexing.py).
            HnswIndex(
                fields=["vector"],
                opclasses=["halfvec_ip_ops"],
                m=24,
                ef_construction=128,
                condition=Q(indexed=True),
                name="gallery_face_vector_hnsw",
            ),
            models.Index(
                fields=["group"],
                condition=Q(embedding__isnull=False),
                name="gallery_face_of_version_before",
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=~Q(consent_reference=""), name="gallery_face_has_consent"),
            models.CheckConstraint(
                condition=Q(vector__isnull=False, vector_remainder__isnull=False)
                | Q(embedding__isnull=False, remainder__isnull=False),
                name="gallery_face_has_vector",
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)


class NoteChange(models.Model):
    """A person's note before an enrolment changed it, kept while the enrolment can be withdrawn.

    The database deletes it with its person.
    """

    person = models.ForeignKey(Person, models.CASCADE, related_name="note_changes", db_constraint=False)
    call_id = models.UUIDField(db_index=True)
    before = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"note of person {self.person_id}"


class Erasures(models.Model):
    """The number of deletions of an App's faces: its current epoch (retention/remembered.py)."""

    app = models.OneToOneField(App, models.CASCADE, primary_key=True, related_name="+")
    number = models.PositiveBigIntegerField(default=0, db_default=0)

    def __str__(self) -> str:
        return f"{self.app_id} {self.number}"


class Action(models.TextChoices):
    """The action that an entry of the audit trail records."""

    GROUP_ADD = "group_add", _("新建组")
    GROUP_CHANGE = "group_change", _("修改组")
    GROUP_DELETE = "group_delete", _("删除组")
    ENROL = "enrol", _("入库")
    WITHDRAW = "withdraw", _("撤回入库")
    ERASE = "erase", _("删除人脸")
    EXPIRE = "expire", _("到期删除")
    SEARCH = "search", _("搜索")
    COMPARE = "compare", _("比对")
    EXPORT = "export", _("导出")


class TrailEntry(models.Model):
    """An entry of the audit trail: ids and counts, without biometrics or names of persons.

    Persons are identified by their tags, which only the group's data key links to an id. After the group is
    deleted, the link is lost. `call_id` is the API call, `by` the customer in the console; neither is set for
    the nightly deletion and `erase_gallery`. Append-only.
    """

    app = models.ForeignKey(App, models.PROTECT, related_name="+", db_index=False)
    at = models.DateTimeField(_("时间"))
    action = models.CharField(_("操作"), max_length=16, choices=Action)
    group_ids = ArrayField(models.CharField(max_length=64), verbose_name=_("组 ID"))
    tags = ArrayField(models.CharField(max_length=32), default=list)
    faces = models.PositiveIntegerField(_("人脸数"), default=0)
    call_id = models.UUIDField(_("请求 ID"), null=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name = verbose_name_plural = _("人脸库审计记录")
        indexes = [
            models.Index(fields=["app", "-id"], name="gallery_trail_of_app"),
            GinIndex(fields=["tags"], name="gallery_trail_of_person"),
        ]

    def __str__(self) -> str:
        return f"{self.app_id} {self.action}"
