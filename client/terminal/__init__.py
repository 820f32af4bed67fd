"""What the command ``beauty-search`` reads and shows: options, tables and progress bars.

May import: every other room of the client but `web`.
Door: `Connection`, `SearchParameters`, `rendering`, `connected`, `upsert`, `delete`,
`status_table`.
"""
