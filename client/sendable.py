"""Values that the protocol can carry; a caller's other ones are refused before they are sent."""

from collections.abc import Iterable

from client.errors import InvalidQueryError

_LARGEST_COUNT = 2**32 - 1  # of the protocol's uint32


def sendable_text(name: str, text: str) -> str:
    """Return a text, which has to be valid Unicode.

    Args:
        name: what it is, for the message.
        text: the text.

    Raises:
        InvalidQueryError: if it is no text, or has no UTF-8 form.
    """
    if not isinstance(text, str):  # such as an id that a data frame holds as a number
        raise InvalidQueryError(f"{name}: {text!r} is no text. Give a text, such as '{text}'.")
    try:
        text.encode()
    except UnicodeEncodeError as error:  # an argument of a command, given as other bytes
        raise InvalidQueryError(f"{name}: {text!r} is not valid UTF-8.") from error
    return text


def sendable_ids(product_ids: Iterable[str]) -> list[str]:
    """Return the ids of products.

    Args:
        product_ids: the ids.

    Raises:
        InvalidQueryError: if one of them is no valid text, or one text is given for all.
    """
    if isinstance(product_ids, str):  # its characters are no ids
        raise InvalidQueryError(f"Give a list of ids, such as [{product_ids!r}], not one text.")
    return [sendable_text("product_ids", product_id) for product_id in product_ids]


def sendable_count(name: str, value: int | None) -> int:
    """Return the protocol's form of a count, where 0 stands for the server's default.

    Args:
        name: what it is, for the message.
        value: from 1; None for the server's default.

    Raises:
        ValueError: if it is below 1.
        InvalidQueryError: if it is larger than the protocol's numbers.
    """
    if value is None:
        return 0
    if value < 1:
        raise ValueError(f"{name} must be at least 1, not {value}; None takes the server's default")
    if value > _LARGEST_COUNT:
        raise InvalidQueryError(
            f"{name} of {value} is more than any server takes. Its limit: beauty-search status"
        )
    return value
