"""Types to JSON Schema (2020-12), each struct as a component of its own: `openai_chat.Request`.

Written from `msgspec.inspect`, because the schemas that msgspec makes itself cannot have fields whose default is raw JSON.
"""

from __future__ import annotations

from typing import Any

from msgspec import inspect as shape

from halley.control.openapi.words import Json, plain

_PREFIX = "#/components/schemas/"


class Schemas:
    """The components that were asked for so far, by name: schemas, and responses that are the same at many paths."""

    def __init__(self) -> None:
        self.components: dict[str, Json] = {}
        self.responses: dict[str, Json] = {}
        self._owners: dict[str, type] = {}

    def of(self, kind: Any) -> Json:
        """A type that msgspec can read. Raises ValueError when two structs would have one name."""
        return self._schema(shape.type_info(kind))

    def of_field(self, found: shape.Type) -> Json:
        """The same of a type that was looked into already."""
        return self._schema(found)

    def demanding(self, kind: Any, groups: tuple[tuple[str, ...], ...]) -> Json:
        """The same where of each group of fields one must be there and not null."""
        schema = self.of(kind)
        return {"allOf": [schema, *map(_one_of, groups)]} if groups else schema

    def shared(self, family: str, responses: dict[str, Json]) -> dict[str, Json]:
        """References to responses by status, which stand here once for each family."""
        names = {status: f"{family}.{status}" for status in responses}
        self.responses |= {names[status]: response for status, response in responses.items()}
        return {status: {"$ref": f"#/components/responses/{name}"} for status, name in names.items()}

    def _schema(self, found: shape.Type) -> Json:
        match found:
            case shape.StructType():
                return self._struct(found)
            case shape.Metadata(type=inner):
                return self._schema(inner)
            case shape.UnionType(types=types):
                return {"anyOf": [self._schema(each) for each in types]}
            case shape.ListType(item_type=item) | shape.VarTupleType(item_type=item):
                return {"type": "array", "items": self._schema(item)} | _limits(found)
            case shape.DictType(value_type=value):
                return {"type": "object", "additionalProperties": self._schema(value)}
            case shape.LiteralType(values=values):
                return {"enum": list(values)}
            case shape.StrType() | shape.IntType() | shape.FloatType() | shape.BoolType() | shape.NoneType():
                return {"type": _SCALARS[type(found)]} | _limits(found)
            case shape.RawType() | shape.AnyType():
                return {}
            case _:
                raise ValueError(f"no schema is known for {found}")

    def _struct(self, found: shape.StructType) -> Json:
        kind = found.cls
        name = f"{kind.__module__.split('.')[1:][:2][-1]}.{kind.__name__.lstrip('_')}"
        if self._owners.setdefault(name, kind) is not kind:
            raise ValueError(f"{kind.__module__}.{kind.__name__} and another struct are both called {name}")
        if name not in self.components:
            schema = self.components[name] = Json(type="object")  # before its fields, which may be of this very kind
            if kind.__doc__:
                schema["description"] = plain(kind.__doc__)
            schema["properties"] = {field.encode_name: self._schema(field.type) for field in found.fields}
            if required := [field.encode_name for field in found.fields if field.required]:
                schema["required"] = required
        return {"$ref": _PREFIX + name}


def _one_of(names: tuple[str, ...]) -> Json:
    there = [Json(required=[name], properties={name: {"not": {"type": "null"}}}) for name in names]
    return there[0] if len(there) == 1 else {"anyOf": there}


_SCALARS: dict[type[shape.Type], str] = {
    shape.StrType: "string",
    shape.IntType: "integer",
    shape.FloatType: "number",
    shape.BoolType: "boolean",
    shape.NoneType: "null",
}
_LIMITS = {
    "ge": "minimum",
    "le": "maximum",
    "pattern": "pattern",
    "min_length": "minLength",
    "max_length": "maxLength",
}


def _limits(found: shape.Type) -> Json:
    """Of numbers, of the length of texts, and of how many items a list has."""
    items = isinstance(found, shape.ListType | shape.VarTupleType)
    limits = ((word.replace("Length", "Items") if items else word, getattr(found, name, None)) for name, word in _LIMITS.items())
    return {word: value for word, value in limits if value is not None}
