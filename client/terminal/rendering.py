"""Results for people (rich tables) and for programs (one JSON object per line).

Every function is pure: it returns what ``cli`` prints. Text from the catalogue and the server is
shown as text: no markup is read from it and no control character reaches the terminal.
"""

import json
from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from client.query import Answer
from client.results import FoundProducts, Guarantee, Match, SearchResult, Stage
from client.terminal.batch import path_of
from client.verdict import IN_CATALOGUE, percent, verdict

SIDE_BY_SIDE_COLUMNS = 120  # width from which the two rankings of a comparison fit abreast
WORDS_WIDTH = 16  # of the column of words, which would take the description's place
SHOWN_SHARE = 0.5  # of its n-grams that the query has, for a word of a product to be shown


def results_table(result: SearchResult) -> RenderableType:
    """Show the results of one search, one row each, and below them where they come from."""
    table = plain_table(expand=True)
    table.add_column("#", justify="right", no_wrap=True)
    is_grouped = _is_grouped(result.results)
    _add_product_columns(table, is_grouped)
    has_words = any(match.words for match in result.results)
    has_cosines = any(match.cosines for match in result.results) or not has_words
    if has_cosines:
        table.add_column("cosines", justify="right", min_width=7)
    if has_words:
        table.add_column("words", overflow="ellipsis", no_wrap=True, max_width=WORDS_WIDTH)
    is_judged = result.in_catalogue_probability is not None
    if is_judged:
        table.add_column("right", justify="right", no_wrap=True)
    table.add_column("how it came", no_wrap=True)
    for match in result.results:
        cosines = " ".join(f"{cosine:.3f}" for cosine in match.cosines.values())
        further = [cosines] * has_cosines + [_words_cell(match)] * has_words
        further += [_confidence(match)] * is_judged
        cells = _product_cells(match, is_grouped)
        table.add_row(str(match.rank), *cells, *further, _provenance(match))
    models = ", ".join(model.name for model in result.models)
    notes = [f"cosines: {models}"] if has_cosines else []
    if result.read_lines:
        read = " · ".join(line.text for line in result.read_lines)
        notes.append(f"read on the photo: {read}")
    if not result.results:
        notes = [f"nothing found among {result.searched_count:,} products"]
    if has_words:
        notes.append("words: similarity to the product's text, and its words that resemble them")
    if is_grouped:
        notes.append("images: how many of the group may be found; the best one is shown")
    if is_judged:
        notes.append("right: probability that the product is the one on the photo")
    return Group(table, *_verdict(result), *map(_note, (*notes, *_proof(result), _origin(result))))


def comparison(result: SearchResult, width: int) -> RenderableType:
    """Show the initial and the refined ranking, abreast or one above the other.

    Products that refinement removed are marked "-" and red, those it brought "+" and green.

    Args:
        result: of a refined search.
        width: columns of the terminal.

    Returns:
        Two tables, and below them what refinement did.
    """
    initial_ids = {match.product_id for match in result.initial_results}
    refined_ids = {match.product_id for match in result.results}
    before = _compared("initial ranking", result.initial_results, refined_ids, "-", "red")
    after = _compared("refined ranking", result.results, initial_ids, "+", "green")
    replaced = len(refined_ids - initial_ids)
    summary = (
        f"refinement replaced {replaced} of {len(result.initial_results)}, "
        f"out of {result.subset_size} text neighbours"
    )
    notes = (*_verdict(result), *map(_note, (summary, *_proof(result), _origin(result))))
    if width < SIDE_BY_SIDE_COLUMNS:
        return Group(before, Text(), after, *notes)
    abreast = Table.grid(expand=True, padding=(0, 2))
    abreast.add_column(ratio=1)
    abreast.add_column(ratio=1)
    abreast.add_row(before, after)
    return Group(abreast, *notes)


def products_table(found: FoundProducts) -> RenderableType:
    """Show one row for each product, and below them which index has them."""
    table = plain_table(expand=True)
    table.add_column("product", overflow="fold", min_width=8)
    table.add_column("description", overflow="fold", ratio=2)
    table.add_column("image", overflow="fold", ratio=1)
    table.add_column("further columns", overflow="fold", ratio=2)
    for product in found.products:
        further = ", ".join(
            f"{name}: {value}" for name, value in sorted(product.attributes.items())
        )
        texts = (product.product_id, product.description, product.image, further)
        table.add_row(*map(plain_line, texts))
    return Group(table, _note(f"index {found.index_version}"))


def batch_table(answers: Sequence[Answer]) -> Table:
    """Show one row for each image of a folder: its best product, or that it failed."""
    table = plain_table(expand=True)
    table.add_column("query", overflow="fold", ratio=1)
    outcomes = [a.outcome for a in answers if isinstance(a.outcome, SearchResult)]
    is_grouped = any(_is_grouped(outcome.results) for outcome in outcomes)
    _add_product_columns(table, is_grouped)
    table.add_column("by text", justify="right", no_wrap=True)
    is_judged = any(outcome.in_catalogue_probability is not None for outcome in outcomes)
    if is_judged:
        table.add_column("there", justify="right", no_wrap=True)
    for answer in answers:
        query = plain_line(path_of(answer).name)
        if not isinstance(answer.outcome, SearchResult):
            table.add_row(query, Text("failed", style="bold red"))
            continue
        results = answer.outcome.results
        none = [Text("none"), *[""] * (2 + is_grouped)]
        best = _product_cells(results[0], is_grouped) if results else none
        refined = sum(match.stage is Stage.REFINED for match in results)
        probability = answer.outcome.in_catalogue_probability
        there = ["" if probability is None else percent(probability)] * is_judged
        table.add_row(query, *best, f"{refined} of {len(results)}", *there)
    return table


def plain_line(text: str) -> Text:
    """Return foreign text as one line without control characters."""
    shown = text.encode(errors="replace").decode()  # a file name may not be UTF-8
    return Text("".join(c if c.isprintable() else " " for c in " ".join(shown.split())))


def json_line(record: dict[str, object]) -> str:
    """Return one JSON object on one line, in ASCII whatever the terminal's encoding."""
    return json.dumps(record, separators=(",", ":"))


def plain_table(title: str | None = None, *, expand: bool = False) -> Table:
    """Return an empty table: a line below the heads, two spaces between columns."""
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        expand=expand,
    )


def _is_grouped(matches: Sequence[Match]) -> bool:
    return any(match.group_size is not None for match in matches)


def _add_product_columns(table: Table, is_grouped: bool) -> None:
    table.add_column("product", overflow="fold", min_width=8)
    table.add_column("description", overflow="ellipsis", no_wrap=True, ratio=1)
    if is_grouped:
        table.add_column("images", justify="right", no_wrap=True)
    table.add_column("similarity", justify="right", no_wrap=True)


def _product_cells(match: Match, is_grouped: bool) -> list[str | Text]:
    texts = [plain_line(match.product_id), plain_line(match.description)]
    size = "" if match.group_size is None else f"{match.group_size:,}"
    return [*texts, *[size] * is_grouped, f"{match.similarity:.4f}"]


def _words_cell(match: Match) -> Text:
    """Show how similar the words are, and the words of the product that resemble them."""
    if match.words is None:
        return Text()
    similar = " ".join(each.word for each in match.words.matched if each.share >= SHOWN_SHARE)
    return plain_line(f"{match.words.cosine:.3f} {similar}")


def _confidence(match: Match) -> str:
    return "" if match.confidence is None else percent(match.confidence)


def _provenance(match: Match) -> Text:
    """Say which stage of Algorithm 1 put the product here."""
    if match.text is not None:
        return Text(f"text of #{match.text.seed_rank} ({match.text.cosine:.2f})", style="cyan")
    if match.words is not None and not match.cosines:
        return Text("words")
    words = {Stage.INITIAL: "visual", Stage.FILLED: "fill"}
    return Text(words.get(match.stage, match.stage.value))


def _compared(
    title: str, matches: Sequence[Match], others: set[str], sign: str, colour: str
) -> Table:
    """Draw one ranking, marking the products that the other one lacks."""
    table = plain_table(title, expand=True)
    table.add_column("")
    table.add_column("#", justify="right", no_wrap=True)
    is_grouped = _is_grouped(matches)
    _add_product_columns(table, is_grouped)
    table.add_column("how it came", no_wrap=True)
    for match in matches:
        shared = match.product_id in others
        cells = (str(match.rank), *_product_cells(match, is_grouped), _provenance(match))
        table.add_row("" if shared else sign, *cells, style=None if shared else colour)
    return table


def _verdict(result: SearchResult) -> list[Text]:
    """Say whether the catalogue has what the photo shows, if the answer knows."""
    probability = result.in_catalogue_probability
    if probability is None:
        return []
    return [Text(verdict(result), "bold yellow" if probability < IN_CATALOGUE else "green")]


def _proof(result: SearchResult) -> list[str]:
    """Say what is proved of an answer whose candidates another engine has found."""
    if result.proof is None:
        return []
    said = {
        Guarantee.EXACT: "proved: no product is missing",
        Guarantee.EXACT_FOR_LIST: f"proved for the engine's list: {result.proof.reason}",
        Guarantee.NONE: "not proved: products may be missing",
    }.get(result.proof.guarantee, "of a guarantee that this client does not know")
    return [f"{result.proof.candidate_count:,} candidates, {said}"]


def _origin(result: SearchResult) -> str:
    """Say which index answered, and where the time went."""
    timings = result.timings
    stages = ", ".join(
        f"{name} {spent_us / 1000:.1f}"
        for name, spent_us in (
            ("decode", timings.decode_us),
            ("encode", timings.encode_us),
            ("read", timings.read_us),
            ("rank", timings.rank_us),
            ("refine", timings.refine_us),
        )
        if name != "read" or spent_us
    )
    return f"index {result.index_version}: {timings.total_us / 1000:.1f} ms ({stages})"


def _note(text: str) -> Text:
    note = plain_line(text)
    note.stylize("dim")
    return note
