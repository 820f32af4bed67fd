"""Policy "fields": every field of an object is named in the schema of its kind.

The arguments of Triton and of our commands are compared in the same way, with
``schemas/tritonserver.yaml`` and ``schemas/commands.yaml``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import takewhile

from deploy.policies.containers import commands_of
from deploy.policies.fields.schema import Schema, is_described, load, problems
from deploy.policies.rendering import Manifests, Object, name_of

TRITON = "tritonserver"
OURS = "beauty-"  # the beginning of the names of our commands
REPEATED = ("--trace-config",)


def fields_that_are_named(rendered: Manifests) -> Iterator[str]:
    """Every field of every object is one that we know, and has a value that makes sense."""
    for each in rendered.objects:
        yield from _problems_once(json.dumps(each))
    for pods in rendered.pods():
        for container in pods.containers:
            for words in commands_of(rendered, container):
                yield from (f"{pods.owner}: {each}" for each in argument_problems(words))


@cache
def _problems_once(text: str) -> tuple[str, ...]:
    """The problems of an object; renderings have most objects in common."""
    return tuple(problems_of(json.loads(text)))


def problems_of(each: Object) -> Iterator[str]:
    """What an object says that its kind should not say.

    Args:
        each: any rendered object.
    """
    kind = str(each["kind"])
    if not is_described(kind):
        yield f"{name_of(each)} is of a kind without a schema, {Schema(kind, None).path}"
        return
    yield from (f"{name_of(each)}: {words}" for words in problems(load(kind), each))


def argument_problems(words: Sequence[str], triton: str = TRITON) -> list[str]:
    """What is wrong with the options of a command; nothing if it is neither ours nor Triton.

    Args:
        words: of the command, such as ``["tritonserver", "--grpc-port=8001"]``.
        triton: the schema of Triton's.
    """
    if words[0] == TRITON:
        return problems(load(triton), options_of(words[1:]))
    if not words[0].startswith(OURS):
        return []
    verb = list(takewhile(lambda word: not word.startswith("-"), words))[:2]
    commands = load("commands")
    name = " ".join(verb)
    if name not in commands.content:
        return [f"runs {name}, a command without a name in {commands.path}"]
    return problems(commands.part(commands.content[name]), options_of(words), name)


def options_of(words: Sequence[str]) -> dict[str, str | list[str]]:
    """The options of a command with their values; those of a repeated one are a list.

    Args:
        words: options as ``--name=value`` or ``--name value``; others are passed over.
    """
    values: dict[str, list[str]] = {}
    for word, following in zip(words, [*words[1:], "-"], strict=True):
        name, sign, value = word.partition("=")
        if name.startswith("-"):
            is_next = not sign and not following.startswith("-")
            values.setdefault(name, []).append(following if is_next else value)
    return {
        name: some if name in REPEATED or len(some) > 1 else some[0]
        for name, some in values.items()
    }
