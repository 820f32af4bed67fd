"""Numbers as Kubernetes and Triton write them."""

from collections.abc import Sequence

SUFFIXES = {
    "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip


def quantity(text: object) -> float:
    """A quantity of Kubernetes: ``1536Mi`` in bytes, ``500m`` in cores."""
    text = str(text)
    number = text.rstrip("mkKMGTi")
    return float(number) * SUFFIXES.get(text[len(number) :], 1)


def flag(arguments: Sequence[str], name: str) -> str | None:
    """The value of ``--name=value`` or ``--name value``; None if it is not given."""
    found = None
    for position, word in enumerate(arguments):
        given, sign, value = word.partition("=")
        if given == name:
            following = "".join(arguments[position + 1 : position + 2])
            found = value if sign or following.startswith("-") else following
    return found


def seconds_of_triton(arguments: Sequence[str], name: str) -> float:
    """The number of Triton's flag, in seconds; 0 if it is not given."""
    return float(flag(arguments, name) or 0)


def number(text: object) -> float:
    """The number of a setting; 0 if it is not a number."""
    try:
        return float(str(text))
    except ValueError:
        return 0.0


def hours(text: str) -> float:
    """The hours of a duration such as ``2160h``, as certificates have it."""
    return float(text.removesuffix("h"))
