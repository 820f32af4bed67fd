"""Validates objects by the schemas of Kubernetes and of the operators whose resources we use.

Runs in the environment of schemas.txt. A resource without a schema is an error, an unknown field
too. The schemas are those of the packages; Gateway API's, which no package has, is written down
beside this file for the fields we use.

Example: python validate.py --version 1.37 < objects.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import kubernetes_validate.utils
from cloudcoil.models.cert_manager import v1 as cert_manager
from cloudcoil.models.keda import v1alpha1 as keda
from cloudcoil.models.prometheus_operator import v1 as prometheus_operator

OPERATORS = {
    "cert-manager.io/v1": cert_manager,
    "keda.sh/v1alpha1": keda,
    "monitoring.coreos.com/v1": prometheus_operator,
}
GATEWAY_API = "gateway.networking.k8s.io/v1"
GATEWAY_SCHEMAS = Path(__file__).with_name("gateway_api.json")
# Otherwise it reads megabytes again for each object.
kubernetes_validate.utils.schema_contents = cache(kubernetes_validate.utils.schema_contents)


def findings(document: dict[str, Any], version: str) -> Iterator[str]:
    """What is wrong with an object, one sentence each."""
    name = f"{document.get('kind')}/{document.get('metadata', {}).get('name')}"
    api = str(document.get("apiVersion"))
    try:
        if api in OPERATORS or api == GATEWAY_API:
            for error in operator_validator(api, document["kind"]).iter_errors(document):
                yield from (f"{name}: {words}" for words in leaves(error))
        else:
            kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield from (f"{name}: {words}" for words in leaves(error))
    except (kubernetes_validate.SchemaNotFoundError, KeyError, AttributeError):
        yield f"{name}: there is no schema of {document.get('kind')} in {api} ({version})"


@cache
def operator_validator(api: str, kind: str) -> jsonschema.Draft202012Validator:
    """Raises KeyError or AttributeError if there is no schema."""
    if api == GATEWAY_API:
        schema = json.loads(GATEWAY_SCHEMAS.read_text(encoding="utf-8"))
        return jsonschema.Draft202012Validator(
            {**schema, "$ref": f"#/$defs/{schema['kinds'][kind]}"}
        )
    schema = getattr(OPERATORS[api], kind).model_json_schema(by_alias=True)
    return jsonschema.Draft202012Validator(strict(schema))


def strict(schema: Any) -> Any:
    """Refuse what a schema does not name, as the API server does when asked to be strict."""
    if isinstance(schema, dict):
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
        for part in schema.values():
            strict(part)
    elif isinstance(schema, list):
        for part in schema:
            strict(part)
    return schema


def leaves(error: jsonschema.ValidationError) -> Iterator[str]:
    """The causes of an error: those of its alternatives that are not merely "not null"."""
    causes = [cause for cause in error.context or [] if cause.validator_value != "null"]
    if causes:
        for cause in causes:
            yield from leaves(cause)
    else:
        yield f"{'.'.join(map(str, error.absolute_path))}: {error.message}"


def main() -> int:
    """Read a JSON list of objects; print a JSON list of findings for each."""
    parser = argparse.ArgumentParser(description="Validate a JSON list of Kubernetes objects.")
    parser.add_argument("--version", required=True, help="of Kubernetes, such as 1.37")
    version = parser.parse_args().version
    json.dump([list(findings(document, version)) for document in json.load(sys.stdin)], sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
