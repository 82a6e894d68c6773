"""The search for similar faces."""

from flask import Response, current_app, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from grab_service.api.answers import answer
from grab_service.api.schemas.common import responses
from grab_service.api.schemas.line import QUESTION_OR_PICTURE, FaceQuestion, Faces, FacesQuery
from grab_service.http.validation import JSON, checked, parsed
from grab_service.images.face_search import FaceSearch
from grab_service.images.lookup import lookup
from grab_service.line.intake import intake
from grab_service.uploads import forms
from grab_service.uploads.limits import place, turn
from stageline.pipeline.first_message import traceparent

routes = APIBlueprint("faces", __name__, abp_tags=[Tag(name="faces", description="Faces that look alike.")])


@routes.post(
    "/faces/search",
    responses=responses({200: Faces}, 400, 404, 408, 409, 413, 415, 429),
    openapi_extensions=QUESTION_OR_PICTURE,
)
@checked
def search(query: FacesQuery) -> Response:
    """Find the nearest faces, the most similar first: to a face that the line knows, or to one in a picture.

    A picture that is sent here goes down the line as far as classify, and is forgotten again.
    """
    look = FaceSearch(intake(), lookup(), current_app.config["MODELS"])
    if request.mimetype == JSON:
        question = parsed(FaceQuestion)
        return answer(look.of_face(question.image_id, question.face, query.limit))
    intake().refuse_when_full()
    with place():
        with turn():
            sent = forms.picture()
            trace = traceparent(request.headers.get("traceparent"))
            image_id = look.send(sent.data or b"", sent.filename or "", trace)
            del sent
        return answer(look.of_sent(image_id, query.limit))
