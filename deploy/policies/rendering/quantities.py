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
    """The value of ``--name=value``; None if it is not given."""
    values = [each.partition("=")[2] for each in arguments if each.partition("=")[0] == name]
    return values[-1] if values else None


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
