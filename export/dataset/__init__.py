"""The readers of catalogues, with Perfect-500K in its own form.

May import: the server's attributes, text, command_line and errors; never torch.
Door: `read_catalogue`, `Catalogue`, `CatalogueRow`, and for ground truths the readers of tables.
"""
