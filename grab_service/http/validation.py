"""Validates path, query, headers and JSON body of a request by the models that its view is annotated with.

flask-openapi3 documents a view by the same annotations. Its own validation is not used: it builds the JSON schema of
each model again for every request.
"""

import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar, get_type_hints

from flask import Response, request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import RequestEntityTooLarge

from grab_service.api.problems import BadParameters, BodyTooLarge, FieldError, WrongType

MAX_JSON = 1024 * 1024
JSON = "application/json"
NONE_HERE = "there is no such parameter: none is taken here"
SHOWN = 40  # characters of a wrong value that an answer repeats
View = Callable[..., Response]
Body = TypeVar("Body", bound=BaseModel)


def checked(view: View) -> View:
    """Call the view with its models; answer 422, with each wrong field, where the request does not fit."""
    hints = get_type_hints(view)
    models: dict[str, type[BaseModel]] = {name: hints[name] for name in _READERS if name in hints}
    takes_query = "query" in models

    @wraps(view)
    def wrapper(**path: Any) -> Response:
        given: dict[str, BaseModel] = {}
        wrong: list[FieldError] = [] if takes_query else [FieldError(name[:SHOWN], NONE_HERE) for name in request.args]
        for name, model in models.items():
            try:
                given[name] = model.model_validate(_READERS[name](model, path))
            except ValidationError as error:
                wrong += _field_errors(error, model)
            except BadParameters as error:
                wrong += error.field_errors
        if wrong:
            raise BadParameters(wrong)
        return view(**given)

    wrapper.__delay_validate_request__ = True  # type: ignore[attr-defined] # turns off the validation of flask-openapi3
    return wrapper


def parsed(model: type[Body]) -> Body:
    """Return the request's JSON body as the model; for a view that also takes other bodies.

    Raises:
        WrongType: the body is not sent as JSON.
        BadParameters: the body does not fit the model.
    """
    try:
        return model.model_validate(read_json(model))
    except ValidationError as error:
        raise BadParameters(_field_errors(error, model)) from None


def read_json(model: type[BaseModel]) -> Any:
    """Return the request's body as plain data.

    Raises:
        WrongType: the body is not sent as JSON.
        BadParameters: the body is not JSON.
    """
    if request.mimetype != JSON:
        fields = ", ".join(model.model_fields)
        raise WrongType(f"send a JSON object of {fields} with the header Content-Type: {JSON}")
    request.max_content_length = MAX_JSON
    try:
        return json.loads(request.get_data(cache=False), parse_constant=_refuse)
    except RequestEntityTooLarge:
        raise BodyTooLarge(f"the JSON is too large; at most {MAX_JSON:,} bytes of it are taken") from None
    except (ValueError, RecursionError) as error:
        raise BadParameters([FieldError("body", f"this is no JSON: {error}")]) from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number in JSON")


def _query(_model: type[BaseModel], _path: object) -> Mapping[str, str]:
    twice = [name for name, values in request.args.lists() if len(values) > 1]
    if twice:
        raise BadParameters([FieldError(name, "it is given more than once") for name in twice])
    return request.args.to_dict()


def _header(model: type[BaseModel], _: object) -> Mapping[str, str]:
    names = [field.alias or name for name, field in model.model_fields.items()]
    return {name: request.headers[name] for name in names if name in request.headers}


_READERS: dict[str, Callable[[type[BaseModel], Any], Any]] = {
    "path": lambda _, path: path,
    "query": _query,
    "header": _header,
    "body": lambda model, _: read_json(model),
}


def _field_errors(error: ValidationError, model: type[BaseModel]) -> list[FieldError]:
    return [_field_error(dict(found), model) for found in error.errors(include_url=False)]


def _field_error(found: Mapping[str, Any], model: type[BaseModel]) -> FieldError:
    field = ".".join(str(part) for part in found["loc"]) or "body"
    if found["type"] == "extra_forbidden":
        known = ", ".join(info.alias or name for name, info in model.model_fields.items())
        return FieldError(field[:SHOWN], f"there is no such parameter; there is {known}")
    message = str(found["msg"]).removeprefix("Value error, ")
    value = found.get("input")
    if isinstance(value, str | int | float) and found["type"] != "missing":
        text = str(value)
        message += f", not {text[:SHOWN]!r}{'…' if len(text) > SHOWN else ''}"
    return FieldError(field, message)
