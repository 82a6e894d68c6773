"""The Flask application with its groups of routes."""

import threading

from flask import Flask
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI

from grab_service.api import addresses, problems
from grab_service.http import openapi
from grab_service.http.routes import events, faces, line, pictures, uploads
from grab_service.images.downloads import Places
from grab_service.line.intake import Intake
from grab_service.streaming.hub import Hub
from grab_service.ui import page as the_page
from grab_service.uploads import limits
from grab_service.uploads.forms import FORM_OVERHEAD
from stageline import __version__
from stageline.core.settings import Settings
from stageline.registry.repository import open_repository

GROUPS = (uploads, pictures, line, faces, events)
ABOUT = "Pictures in, findings out. Every error is an application/problem+json (RFC 9457) with a sentence."


def create_app(settings: Settings, intake: Intake) -> Flask:
    """Make the application."""
    app = OpenAPI(
        __name__,
        info=Info(title="Stageline", version=__version__, description=ABOUT),
        static_folder=None,
        doc_ui=False,  # /openapi.json and /docs are our own: see openapi.py
    )
    app.config["MAX_CONTENT_LENGTH"] = settings.max_upload_bytes + FORM_OVERHEAD
    app.config["MAX_UPLOAD_BYTES"] = settings.max_upload_bytes
    app.config["INTAKE"] = intake
    app.config["MODELS"] = open_repository(settings)
    app.config["HUB"] = Hub(settings.redis_url)
    app.config["PLACES"] = Places()
    app.config["SEARCHES"] = threading.BoundedSemaphore(limits.SEARCHES)
    app.config["TURNS"] = threading.BoundedSemaphore(settings.door_threads)
    for group in GROUPS:
        app.register_api(group.routes)
    app.register_blueprint(openapi.routes)
    app.register_blueprint(the_page.routes)
    problems.handle_errors(app)
    app.wsgi_app = addresses.readable(app.wsgi_app)  # type: ignore[assignment,method-assign]
    return app
