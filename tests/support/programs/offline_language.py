"""A program that names the language of a description, and may open no connection."""

import sys


def name_language_offline() -> None:
    """Print the language, and whether the downloader of the model was imported."""
    sys.addaudithook(refuse_connections)
    from retrieval_server.text.language_filter import LanguageFilter

    language = LanguageFilter().language("Crema hidratante para piel seca")
    sys.stdout.write(f"{language} {'robust_downloader' in sys.modules}\n")


def refuse_connections(event: str, arguments: tuple[object, ...]) -> None:
    if event.startswith("socket."):
        raise RuntimeError(f"the filter opened a connection: {event} {arguments}")
