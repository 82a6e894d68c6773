"""Status, pages, images, deletion, reruns and history of pictures."""

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from grab_service.api.answers import answer
from grab_service.api.schemas.common import ImagePath, NamePath, content, responses
from grab_service.api.schemas.pictures import ImageQuery, ImagesQuery, Pictures, PictureStatus, TaskAnswer, TaskPath
from grab_service.api.schemas.pictures import Ledger as LedgerAnswer
from grab_service.api.schemas.uploads import Batch, BatchPath, Processing, ProcessQuery
from grab_service.http.validation import checked
from grab_service.images import downloads, listing
from grab_service.images.history import History
from grab_service.images.lookup import lookup
from grab_service.images.reruns import Reruns
from grab_service.line.intake import intake
from grab_service.uploads import batches

routes = APIBlueprint("pictures", __name__, abp_tags=[Tag(name="pictures", description="What became of them.")])
PICTURE = content("image/*", "the picture", {"type": "string", "format": "binary"})
PART = content("image/*", "the part that Range names", {"type": "string", "format": "binary"})


@routes.get("/status/<image_id>", responses=responses({200: PictureStatus}, 404))
@checked
def status(path: NamePath) -> Response:
    """Tell where a picture is, and what was found in it."""
    return answer(lookup().status(path.image_id))


@routes.get("/images", responses=responses({200: Pictures}))
@checked
def images(query: ImagesQuery) -> Response:
    """List pictures, newest first, page by page; what arrives meanwhile changes no later page."""
    return answer(listing.page(intake(), query))


@routes.get("/image/<image_id>", responses=responses({200: PICTURE, 206: PART, 304: None}, 404, 412, 416))
@checked
def image(path: NamePath, query: ImageQuery) -> Response:
    """Show a picture as a stage left it, or the part of it that Range names."""
    return downloads.show(path.image_id, query.stage)


@routes.delete("/image/<image_id>", responses=responses({204: None}, 404))
@checked
def delete(path: ImagePath) -> Response:
    """Delete a picture and all that was made of it; one that is still on its way leaves nothing behind."""
    lookup().remove(path.image_id)
    return Response(status=204)


@routes.post("/process/<image_id>", responses=responses({202: Processing}, 404, 409, 429))
@checked
def process(path: NamePath, query: ProcessQuery) -> Response:
    """Send a waiting picture on, or run one again, from the beginning or from a stage."""
    begun = Reruns(intake(), lookup()).process(path.image_id, query.from_stage)
    return answer(begun, 202, Location=f"/task/{begun['task_id']}")


@routes.get("/ledger/<image_id>", responses=responses({200: LedgerAnswer}, 404))
@checked
def ledger(path: NamePath) -> Response:
    """Tell what each stage did to a picture, and what it left."""
    return answer(History(intake(), lookup()).of(path.image_id))


@routes.get("/task/<task_id>", responses=responses({200: TaskAnswer}, 404))
@checked
def task(path: TaskPath) -> Response:
    """Tell of one way of a picture down the line, with all that was tried."""
    return answer(History(intake(), lookup()).task(path.task_id))


@routes.get("/batch/<batch_id>", responses=responses({200: Batch}, 404))
@checked
def batch(path: BatchPath) -> Response:
    """Tell how a batch stands."""
    return answer(batches.state(intake(), path.batch_id))
