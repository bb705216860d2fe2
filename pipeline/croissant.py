"""`croissant.json`: the tables of a pairset as JSON-LD, after MLCommons Croissant 1.1.

Hubs and loaders that know Croissant find every table and column with its type. Each table is a
FileSet of the files that the manifest lists; their hashes stand in manifest.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from ..manifests import schema
from ..manifests.meanings import meaning

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
PARQUET = "application/x-parquet"
TAR = "application/x-tar"
_TERMS = (
    *("citeAs", "column", "equivalentProperty", "extract", "field", "fileObject", "fileProperty"),
    *("fileSet", "format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField"),
    *("path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate"),
    *("separator", "source", "subField", "transform", "isArray", "arrayShape"),
)
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{term: f"cr:{term}" for term in _TERMS},
}
"""The context that the standard prescribes, whole, and the terms of arrays."""
_TYPES = {
    pa.int64(): "cr:Int64",
    pa.int32(): "cr:Int32",
    pa.int8(): "cr:Int8",
    pa.float32(): "cr:Float32",
    pa.float64(): "cr:Float64",
    pa.bool_(): "sc:Boolean",
    pa.string(): "sc:Text",
    pa.timestamp("us", tz="UTC"): "sc:DateTime",
}
_KEYS = {"samples": "sample_id", "pairs": "pair_id"}


def croissant(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON-LD of a pairset.

    Args:
        manifest: tables, counts, images, neighbors, attributes, created_by of manifest.json.
    """
    counts = manifest["counts"]
    tables = manifest["tables"]
    files = [_files(_name(table), [e["path"] for e in tables[table]], PARQUET) for table in tables]
    if manifest["images"]:
        files.append(_files("images", [entry["path"] for entry in manifest["images"]], TAR))
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": "pairs",
        "description": (
            f"{counts['pairs']} pairs of {counts['samples']} samples for contrastive training, "
            f"made by {manifest['created_by']}; format {manifest['format']}."
        ),
        "distribution": files,
        "recordSet": [_records(table, manifest) for table in tables],
    }


def _name(table: str) -> str:
    """Return a table's name as an id: "neighbors/image>image" -> "neighbors/image_to_image"."""
    return table.replace(">", "_to_")


def _files(name: str, paths: list[str], encoding: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{name}-files",
        "name": f"{name}-files",
        "encodingFormat": encoding,
        "includes": paths,
    }


def _records(table: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    name = _name(table)
    columns = schema.table_schema(table, manifest) or ()
    lengths = schema.list_lengths(table, manifest)
    fields = [_field(table, name, column, lengths) for column in columns]
    key = {"key": {"@id": f"{name}/{_KEYS[table]}"}} if table in _KEYS else {}
    return {"@type": "cr:RecordSet", "@id": name, "name": name, **key, "field": fields}


def _field(table: str, name: str, field: pa.Field, lengths: Mapping[str, int]) -> dict[str, Any]:
    kind = field.type
    array: dict[str, Any] = {}
    if pa.types.is_list(kind):
        kind = kind.value_type
        array = {"isArray": True, "arrayShape": str(lengths.get(field.name, -1))}
    about = {
        "@type": "cr:Field",
        "@id": f"{name}/{field.name}",
        "name": field.name,
        "description": meaning(table, field.name),
        **array,
    }
    source = {"fileSet": {"@id": f"{name}-files"}, "extract": {"column": field.name}}
    if pa.types.is_struct(kind):
        return {**about, "subField": [_part(about["@id"], source, part) for part in kind]}
    return {**about, "dataType": _TYPES[kind], "source": source}


def _part(owner: str, source: Mapping[str, Any], part: pa.Field) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{owner}/{part.name}",
        "name": part.name,
        "dataType": _TYPES[part.type],
        "source": {**source, "transform": {"jsonPath": f"$[*].{part.name}"}},
    }
