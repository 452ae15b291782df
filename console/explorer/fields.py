"""Generate the form of an API from its schema, and the body from a filled form.

A field is named by its path in the body: `options.top`, `data.0.consent.reference`. A picture has three
fields: its text (`data.0`), a file (`data.0.file`) and the sample (`data.0.sample`). An entry of `data` is
included if `data.N.on` was sent. Empty fields are omitted; an invalid number is sent as text, so that the API
rejects it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from console.explorer.operations import Json, Operation, is_picture, resolved

MAX_ENTRIES = 10
KINDS = {"integer": "number", "number": "number", "string": "text"}


@dataclass(frozen=True)
class Field:
    """A control of the form, or a group of them.

    `kind`: object, entries, pair (groups); picture, lines, choice, number, text.
    """

    name: str
    label: str
    kind: str
    is_required: bool = False
    attributes: dict[str, str] = field(default_factory=dict)
    choices: list[str] = field(default_factory=list)
    default: str = ""
    children: list["Field"] = field(default_factory=list)

    @property
    def path(self) -> str:
        """Return the path in the body without the numbers of entries, such as data.consent.reference."""
        return ".".join(part for part in self.name.split(".") if not part.isdigit())


def body_fields(operation: Operation) -> list[Field]:
    """Return the fields of the body: its entries, and its options if there are any."""
    schema = operation.body
    return [
        _field(part, name, name, is_required=name in schema.get("required", []))
        for name, part in schema["properties"].items()
    ]


def header_fields(operation: Operation) -> list[Field]:
    """Return the optional headers."""
    return [
        Field(f"header.{name}", name, "text", attributes=_attributes(one["schema"]))
        for name, one in operation.headers.items()
    ]


def _field(schema: Json, name: str, label: str, *, is_required: bool) -> Field:
    if is_picture(schema):
        return Field(name, label, "picture", is_required)
    schema = resolved(schema)
    kind = _type(schema)
    if kind == "object":
        needed = schema.get("required", [])
        children = [
            _field(part, f"{name}.{key}", key, is_required=key in needed)
            for key, part in schema["properties"].items()
        ]
        return Field(name, label, "object", is_required, children=children)
    if kind == "array":
        return _list(schema, name, label, is_required=is_required)
    default = _text(schema["default"]) if "default" in schema else ""
    if kind == "boolean" or "enum" in schema:
        choices = [_text(one) for one in schema.get("enum", (True, False))]
        return Field(name, label, "choice", is_required, choices=choices, default=default)
    return Field(name, label, KINDS[kind], is_required, _attributes(schema), default=default)


def _list(schema: Json, name: str, label: str, *, is_required: bool) -> Field:
    items = schema["items"]
    if name == "data":
        most = min(MAX_ENTRIES, schema["maxItems"])
        children = [_field(items, f"data.{at}", str(at), is_required=True) for at in range(most)]
        return Field(name, label, "entries", is_required, children=children)
    if is_picture(items):
        children = [
            _field(items, f"{name}.{at}", "AB"[at], is_required=True) for at in range(schema["maxItems"])
        ]
        return Field(name, label, "pair", is_required, children=children)
    return Field(name, label, "lines", is_required)


def _attributes(schema: Json) -> dict[str, str]:
    """Return the attributes of the HTML control for the limits of a schema."""
    names = {"minimum": "min", "maximum": "max", "maxLength": "maxlength"}
    found = {html: str(schema[key]) for key, html in names.items() if key in schema}
    if "pattern" in schema:
        pattern = schema["pattern"].removeprefix("^").removesuffix("$")
        found["pattern"] = pattern.replace("-]", "\\-]")  # required by HTML
    if _type(schema) == "number":
        found["step"] = "any"
    return found


def _type(schema: Json) -> str:
    """Return the type of a value; if it may also be null, the other one."""
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return str(next(one for one in types if one != "null"))


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- The body -----------------------------------------------------------------------------


def body_of(fields: list[Field], sent: Mapping[str, str], pictures: Mapping[str, str]) -> Json:
    """Return the body of the filled form; `pictures` has the text of each picture, by name."""
    body = {}
    for one in fields:
        value = _value(one, sent, pictures)
        if value is not None:
            body[one.label] = value
    return body


def _value(one: Field, sent: Mapping[str, str], pictures: Mapping[str, str]) -> Any:
    text = sent.get(one.name, "").strip()
    match one.kind:
        case "entries":
            shown = [entry for entry in one.children if f"{entry.name}.on" in sent]
            return [_value(entry, sent, pictures) for entry in shown]
        case "pair":
            return [pictures.get(child.name, "") for child in one.children]
        case "picture":
            return pictures.get(one.name, "" if one.is_required else None)
        case "object":
            found = body_of(one.children, sent, pictures)
            return found if found or one.is_required else None
        case "lines":
            return text.split() or None
        case "number" if text:
            return _number(text)
        case "choice" if text in ("true", "false"):
            return text == "true"
        case _:
            return text or None


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if math.isfinite(number):  # JSON has neither NaN nor infinity
            return number
    return text


def picture_names(fields: list[Field]) -> list[str]:
    """Return the names of all pictures of a form."""
    names = []
    for one in fields:
        names += [one.name] if one.kind == "picture" else picture_names(one.children)
    return names
