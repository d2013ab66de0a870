"""Whether a value is what a JSON Schema says: the part of the language that our schemas use."""

from typing import Any

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}
KNOWN = {"$defs", "$ref", "$schema", "additionalProperties", "anyOf", "const", "default"}
KNOWN |= {"description", "enum", "format", "items", "maxItems", "minItems", "minLength", "pattern"}
KNOWN |= {"prefixItems", "properties", "propertyNames", "required", "title", "type"}


def faults(value: object, schema: dict[str, Any], root: dict[str, Any], at: str = "") -> list[str]:
    """Return what is not as the schema says; keys that it does not name are faults, too."""
    assert schema.keys() <= KNOWN, schema.keys() - KNOWN
    if "$ref" in schema:
        return faults(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, at)
    if "anyOf" in schema:
        tried = [faults(value, one, root, at) for one in schema["anyOf"]]
        return [] if [] in tried else [fault for found in tried for fault in found]
    if "const" in schema or "enum" in schema:
        return [] if value in schema.get("enum", [schema.get("const")]) else [f"{at}: {value!r}"]
    kind = schema.get("type")
    is_bool = isinstance(value, bool) and kind != "boolean"
    if kind and (is_bool or not isinstance(value, TYPES[kind])):
        return [f"{at}: {value!r} is no {kind}"]
    if isinstance(value, dict):
        missing = [name for name in schema.get("required", []) if name not in value]
        return [f"{at}: no {name}" for name in missing] + _inside_dict(value, schema, root, at)
    return _inside_list(value, schema, root, at) if isinstance(value, list) else []


def _inside_dict(
    value: dict[str, object], schema: dict[str, Any], root: dict[str, Any], at: str
) -> list[str]:
    fields, other = schema.get("properties", {}), schema.get("additionalProperties", False)
    found = []
    for key, part in value.items():
        rule = fields.get(key, other)
        if rule is False:
            found.append(f"{at}: {key} is not in the schema")
        elif isinstance(rule, dict):
            found += faults(part, rule, root, f"{at}.{key}")
    return found


def _inside_list(
    value: list[object], schema: dict[str, Any], root: dict[str, Any], at: str
) -> list[str]:
    firsts = schema.get("prefixItems", [])
    rules = [*firsts, *[schema.get("items", {})] * (len(value) - len(firsts))]
    found = [
        faults(part, rule, root, f"{at}[{place}]")
        for place, (part, rule) in enumerate(zip(value, rules, strict=True))
    ]
    return [fault for some in found for fault in some]
