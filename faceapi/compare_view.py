"""face_compare, whose pairs may also name stored faces of the gallery."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings

from billing.models import Api
from faceapi import responses, schema
from faceapi.gallery import console_user, stored_faces
from faceapi.request import images
from faceapi.request.images import Picture
from faceapi.request.spool import Spool
from faceapi.views import FaceApiView
from gallery import search
from gallery.search import Known, Reference
from gallery.trail import Actor
from inference.results import Template


@schema.describes(Api.FACE_COMPARE, "whether two pictures show one person", "FaceCompareResult", pairs=True)
class FaceCompareView(FaceApiView):
    """人脸比对 (manual 4.2.2, model 3). In a pair, an image may be a stored face of the App's gallery."""

    api = Api.FACE_COMPARE
    operation = "embed"
    members: list[Picture | Reference]
    known: Iterator[Known] = iter(())

    def parse(self, data: Any, spool: Spool) -> list[Picture]:
        self.members = images.parse_pairs(data, spool)
        self.with_quality = images.wants_quality(data)
        self.pairs = len(self.members) // 2
        return [member for member in self.members if isinstance(member, Picture)]

    def check(self) -> None:
        references = [member for member in self.members if isinstance(member, Reference)]
        if references:
            self.operation = "identify"  # its results include the version of the templates
            app = self.call.caller.app
            with self.scanning(settings.DEADLINE_S):
                known = search.look_up(app, references, self.call.at)
            self.known = iter(known)
            actor = Actor(self.call.id, console_user.of(self.request.META, app))
            self.call.effect = stored_faces.trail_of_comparison(app, actor, known)

    def answer(self, results: list[dict[str, Any]]) -> list[dict[str, Any]]:
        shown = iter(results)
        sides: list[Sequence[Template]] = []
        for member in self.members:
            if isinstance(member, Reference):
                sides.append(next(self.known).templates)
            elif self.operation == "identify":
                sides.append([stored_faces.template_of(next(shown))])
            else:
                sides.append([Template.from_dict(next(shown))])
        return responses.compare(sides, same_from=settings.COMPARE_SAME_FROM, with_quality=self.with_quality)
