import json

import pytest

from crest.study import study_schema


def every_node(node):
    yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from every_node(child)


@pytest.fixture(scope="module")
def schema():
    return json.loads(json.dumps(study_schema()))


def test_only_words_of_draft_7_are_used(schema):
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    newer = {"$defs", "prefixItems", "unevaluatedProperties", "dependentRequired", "dependentSchemas", "$dynamicRef"}
    for node in every_node(schema):
        if isinstance(node, dict):
            assert not newer & node.keys()


def test_every_reference_leads_somewhere(schema):
    references = [node["$ref"] for node in every_node(schema) if isinstance(node, dict) and "$ref" in node]
    assert references
    for reference in references:
        assert reference.removeprefix("#/definitions/") in schema["definitions"]


def test_every_key_explains_itself_to_an_editor(schema):
    for record in [schema, *schema["definitions"].values()]:
        assert record["additionalProperties"] is False
        for name, field in record["properties"].items():
            assert field.get("description"), name


def test_words_are_offered_where_they_stand_for_a_mapping(schema):
    assert {"enum": ["continuous", "cadenced"]} in schema["properties"]["schedule"]["anyOf"]
    assert {"enum": ["emulated"]} in schema["properties"]["backend"]["anyOf"]
    one, many = schema["properties"]["quantization"]["anyOf"]
    assert one["enum"] == ["int8", "int16x8", "float32"]
    assert many["type"] == "array"


def test_what_must_be_given_is_required(schema):
    assert set(schema["required"]) == {"name", "workload", "model", "targets", "policy"}


def test_samplers_and_the_forms_of_a_warm_start_are_offered(schema):
    search = schema["definitions"]["SearchOptions"]["properties"]
    words = {word for node in every_node(search["sampler"]) if isinstance(node, dict) for word in node.get("enum", [])}
    constants = {node["const"] for node in every_node(search["sampler"]) if isinstance(node, dict) and "const" in node}
    assert words | constants == {"tpe", "nsga2", "nsga3", "gp", "random", "grid", "auto"}
    one, mapping, many = search["warm_start"]["anyOf"]
    assert one == {"type": "string"}
    assert mapping["additionalProperties"] == {"$ref": "#/definitions/WarmStartOptions"}
    assert many == {"type": "array", "items": {"anyOf": [one, mapping]}}
