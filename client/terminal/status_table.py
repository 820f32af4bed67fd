"""The status of a server for people: its parameters, its models, the catalogue's columns."""

from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.table import Table

from client.server_status import ChangeStatus, Limits, ServerStatus, WordIndex
from client.terminal.rendering import plain_line, plain_table
from client.verdict import calibration_summary

NOT_REPORTED = "not reported by this server"  # it is older than the field


def status_table(status: ServerStatus) -> RenderableType:
    """Show what a server serves: its parameters, its models, the catalogue's columns."""
    text_index = status.text_index
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in (
        ("server", f"{status.server_version}, engine {status.engine}"),
        ("index", f"{status.index_version}, profile {status.profile}"),
        ("products", f"{status.product_count:,}"),
        (
            "text index",
            f"{text_index.document_count:,} descriptions, {text_index.pair_count:,} pairs "
            f"with a cosine above {text_index.threshold:g}",
        ),
        ("words", _word_index(status.word_index)),
        ("changes", _changes(status.changes)),
        ("search levels", _search_levels(status)),
        ("defaults", _defaults(status)),
        ("limits", _limits(status.limits)),
        ("verdict", calibration_summary(status.calibration)),
    ):
        facts.add_row(name, plain_line(value))
    tables = [_models_table(status)]
    if status.columns:
        tables.append(_columns_table(status))
    return Group(facts, *tables)


def _changes(changes: ChangeStatus | None) -> str:
    """Say which changes searches see, and whether the server takes more."""
    if changes is None:
        return NOT_REPORTED
    lag = f", {changes.lag_s:.1f} s behind" if changes.lag_s else ""
    takes = "takes changes" if changes.writable else "takes none itself"
    pending = f", {changes.pending_count:,} to compact" if changes.pending_count else ""
    compacting = "; is compacting" if changes.compacting else ""
    return f"position {changes.position:,}{pending}{lag}; {takes}{compacting}"


def _search_levels(status: ServerStatus) -> str:
    """List the size of each level, in memory and on disk."""
    locations = [
        (", ".join(f"{level.name} {decimal(level.bytes)}" for level in levels), location)
        for location, levels in (
            ("in memory", [level for level in status.search_levels if level.resident]),
            ("on disk", [level for level in status.search_levels if not level.resident]),
        )
    ]
    return "; ".join(f"{location}: {levels}" for levels, location in locations if levels)


def _defaults(status: ServerStatus) -> str:
    """List what a request that does not say takes."""
    defaults = f"top-k {status.default_top_k}, keep {status.default_keep}"
    if status.limits is not None and status.limits.max_text_weight:
        defaults += f", text-weight {status.default_text_weight:g}"
    if status.reader:
        reads = "read" if status.default_read_words else "not read"
        defaults += f", words on photos are {reads} ({status.reader})"
    return defaults


def _limits(limits: Limits | None) -> str:
    """List the limits of the server's requests."""
    if limits is None:
        return NOT_REPORTED
    words = (
        f"words of {limits.max_words_characters:,} characters, "
        f"text-weight {limits.max_text_weight:,g}, "
        if limits.max_words_characters
        else ""
    )
    photos = f"{limits.max_photos:,} photos of one thing, " if limits.max_photos else ""
    ids = f"{limits.max_product_ids:,} products by id, " if limits.max_product_ids else ""
    excluded = f"{limits.max_exclude_ids:,} excluded ids, " if limits.max_exclude_ids else ""
    filters = (
        f"filters of {limits.max_filter_conditions:,} conditions and "
        f"{limits.max_filter_values:,} values, {limits.max_filter_depth} in one another, "
        if limits.max_filter_depth
        else ""
    )
    groups = (
        f"group-by of {limits.max_group_by_characters:,} characters, "
        if limits.max_group_by_characters
        else ""
    )
    streams = (
        f"{limits.max_streams:,} streams of {limits.max_stream_requests:,} searches at a time, "
        if limits.max_streams
        else ""
    )
    upserts = (
        f"upserts of {limits.max_description_characters:,} characters, values of "
        f"{limits.max_value_characters:,}, "
        if limits.max_description_characters
        else ""
    )
    side = f" ({limits.max_image_side:,} on a side)" if limits.max_image_side else ""
    return (
        f"images of {limits.max_image_bytes:,} bytes and {limits.max_image_pixels:,} pixels{side}, "
        f"{photos}requests of {limits.max_request_bytes:,} bytes, "
        f"top-k and keep {limits.max_top_k:,}, alpha {limits.max_alpha:,g}, {words}"
        f"{ids}{filters}{excluded}{groups}{streams}{upserts}"
        f"{limits.max_concurrent_requests:,} searches at a time"
    )


def _word_index(words: WordIndex | None) -> str:
    """Say what the words of a query are compared with."""
    if words is None:
        return NOT_REPORTED
    texts = ", ".join(("description", *words.columns))
    images = (
        f"{words.read_image_count:,} images with words, read by {words.reader} "
        f"{words.reader_digest[:12]}"
        if words.reader
        else "images not read"
    )
    return f"{texts}: {words.text_count:,} texts; {images}"


def _models_table(status: ServerStatus) -> Table:
    table = plain_table()
    for name in ("model", "alpha", "length", "size", "digest", "weights"):
        table.add_column(name, overflow="fold")
    for model in status.models:
        table.add_row(
            plain_line(model.name),
            f"{model.alpha:g}",
            str(model.dimension),
            decimal(model.descriptor_bytes),
            plain_line(model.digest[:12]),
            plain_line(model.weights),
        )
    return table


def _columns_table(status: ServerStatus) -> Table:
    table = plain_table()
    table.add_column("column", overflow="fold")
    table.add_column("type", no_wrap=True)
    table.add_column("different values", justify="right", overflow="fold")
    table.add_column("missing", justify="right", overflow="fold")
    for column in status.columns:
        counts = (f"{column.distinct_count:,}", f"{column.missing_count:,}")
        table.add_row(plain_line(column.name), column.kind.value, *counts)
    return table
