"""The options that several commands have in common, each group as one dataclass."""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from client.access import Access
from client.channel import DEFAULT_SERVER, DEFAULT_TIMEOUT_S
from client.retrieval_client import RetrievalClient
from client.terminal.argument_texts import alpha_by_model, filter_of_conditions
from retrieval_server.command_line.option_values import Conditions, GroupBy, address, seconds


@dataclass(frozen=True, kw_only=True)
class SearchParameters:
    """The options of every command that searches."""

    words: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="Words that the product's text should have, such as brand and type.",
            show_default=False,
        ),
    ] = ""
    text_weight: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="VALUE",
            help="Strength of --words; 0 turns them off.",
            show_default="the server's",
        ),
    ] = None
    where: Conditions = None
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PRODUCT_ID",
            help="A product that may not be found; repeat for several.",
            show_default=False,
        ),
    ] = None
    min_similarity: Annotated[
        float | None,
        typer.Option(
            metavar="VALUE",
            help="Similarity that a product has at least to be found.",
            show_default=False,
        ),
    ] = None
    group_by: GroupBy = None
    top_k: Annotated[
        int | None,
        typer.Option(
            "--top-k",
            "-k",
            min=1,
            metavar="N",
            help="Number of results.",
            show_default="the server's",
        ),
    ] = None
    keep: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Best visual matches that stay (the paper's k).",
            show_default="the server's",
        ),
    ] = None
    refine: Annotated[
        bool,
        typer.Option("--refine/--no-refine", help="Refine through the textual index, or do not."),
    ] = True
    alpha: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL=VALUE",
            help="Strength of a backbone; repeat for several.",
            show_default=False,
        ),
    ] = None

    def keywords(self) -> dict[str, Any]:
        """The keyword arguments of ``RetrievalClient.search`` and ``similar``.

        Raises:
            typer.BadParameter: if a value of --alpha or --where cannot be read.
        """
        return {
            "words": self.words,
            "text_weight": self.text_weight,
            "where": filter_of_conditions(self.where),
            "exclude_ids": self.exclude or (),
            "min_similarity": self.min_similarity,
            "group_by": self.group_by,
            "top_k": self.top_k,
            "keep": self.keep,
            "refine": self.refine,
            "alpha": alpha_by_model(self.alpha),
        }


@dataclass(frozen=True, kw_only=True)
class Connection:
    """The options of every command: where the server is, and what it may ask for."""

    server: Annotated[
        str,
        typer.Option(
            "--server",
            "-s",
            envvar="BEAUTY_SEARCH_SERVER",
            metavar="HOST:PORT",
            help="Address of the server; unix:PATH is a socket.",
            callback=address,
        ),
    ] = DEFAULT_SERVER
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1,
            metavar="SECONDS",
            help="Time limit of each request; inf has none.",
            callback=seconds,
        ),
    ] = DEFAULT_TIMEOUT_S
    tls_ca: Annotated[
        Path | None,
        typer.Option(
            envvar="BEAUTY_SEARCH_TLS_CA",
            metavar="FILE",
            help="PEM certificate of the authority; turns on TLS.",
        ),
    ] = None
    tls_cert: Annotated[
        Path | None,
        typer.Option(
            envvar="BEAUTY_SEARCH_TLS_CERT",
            metavar="FILE",
            help="PEM certificate to show, where the server wants one.",
        ),
    ] = None
    tls_key: Annotated[
        Path | None,
        typer.Option(
            envvar="BEAUTY_SEARCH_TLS_KEY", metavar="FILE", help="PEM private key of --tls-cert."
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        typer.Option(
            envvar="BEAUTY_SEARCH_TOKEN_FILE",
            metavar="FILE",
            help="File with the token to show, where the server wants one.",
        ),
    ] = None

    def client(self) -> RetrievalClient:
        """Make a client of the server.

        Raises:
            RetrievalError: if a certificate cannot be read.
        """
        access = Access(
            tls_ca=self.tls_ca,
            tls_cert=self.tls_cert,
            tls_key=self.tls_key,
            token_file=self.token_file,
        )
        return RetrievalClient(self.server, timeout_s=self.timeout, access=access)


def takes_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Decorate a command that takes groups of options, each as one dataclass.

    Every field of a group becomes an option of the command, after the command's own ones.

    Args:
        command: its parameters are annotated, with a dataclass where they are a group.
    """
    parameters = signature(command).parameters.values()
    groups: dict[str, Any] = {
        each.name: each.annotation for each in parameters if is_dataclass(each.annotation)
    }

    @wraps(command)
    def run(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{each.name: values.pop(each.name) for each in fields(group)})
        command(**values)

    options = [
        Parameter(each.name, Parameter.KEYWORD_ONLY, default=each.default, annotation=each.type)
        for group in groups.values()
        for each in fields(group)
    ]
    own = [each for each in parameters if each.name not in groups]
    run.__signature__ = Signature([*own, *options])  # type: ignore[attr-defined]
    return run
