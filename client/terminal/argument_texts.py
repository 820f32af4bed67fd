"""What the texts of arguments mean: several photos, conditions, strengths by model."""

from pathlib import Path

import typer

from client.filters import Filter, filter_of_texts


def joined_photos(photo: Path) -> list[Path]:
    """The photos of an argument such as ``front.jpg+back.jpg``.

    A + that belongs to the name of a file that exists does not divide it.

    Args:
        photo: as given.
    """
    parts = str(photo).split("+")
    photos, begin = [], 0
    for end in range(1, len(parts) + 1):
        path = Path("+".join(parts[begin:end]))
        if path.is_file():
            photos.append(path)
            begin = end
    if begin == len(parts):
        return photos
    return [photo] if "" in parts else [Path(part) for part in parts]


def filter_of_conditions(conditions: list[str] | None) -> Filter | None:
    """Read conditions, all of which hold.

    Args:
        conditions: as given to --where, if at all.

    Raises:
        typer.BadParameter: naming the one that cannot be read, and the place in it.
    """
    try:
        return filter_of_texts(conditions or ())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--where") from error


def alpha_by_model(values: list[str] | None) -> dict[str, float]:
    """Read MODEL=VALUE pairs.

    Args:
        values: as given to --alpha, if at all.

    Returns:
        The values by model name; the last one counts where a model is named twice.

    Raises:
        typer.BadParameter: naming the one that does not read so.
    """
    alpha = {}
    for value in values or ():
        model, _, number = value.rpartition("=")
        try:
            alpha[model] = float(number)
        except ValueError:
            model = ""
        if not model:
            hint = f"Write MODEL=VALUE, such as densenet201_grmac=3, not {value!r}."
            raise typer.BadParameter(hint, param_hint="--alpha")
    return alpha
