"""The address of a store as the value of an option; a bad one is misuse, exit status 2."""

from __future__ import annotations

import typer

from retrieval_server.stores.address import StoreAddress


def store_address(text: str | None) -> str | None:
    """Check the address of a store on a command line; None is none.

    Raises:
        typer.BadParameter: if it is no address.
    """
    if text is not None:
        try:
            StoreAddress.of(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    return text
