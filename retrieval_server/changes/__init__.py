"""Changes to a version of the index: their log, and the index of a version with its changes.

Read `segment`, which has the format, then `log_writer`, `log_reader`, `changed_index` and
`hand_over`.

May import: index, filters, attributes, exact_search, text, models, storage, compilation, errors.
Door: `Upsert`, `Delete`, `checked_product`, `ChangedVersion`, `ChangedIndex`, `LogWriter`,
`WriterLock`, `CompactedVersion`, `Switch`.
"""
