"""A page to try the search in a browser: ``beauty-search web``, extra ``[ui]``.

A small HTTP program on this machine: it serves one static page and its files from ``page/``, hands
the page's questions on to the search server over gRPC, and shows pictures of a catalogue folder.
It keeps no state, sets no cookie and needs nothing from outside.

May import: retrieval_client, results, server_status, verdict, filters, errors; the server's
command_line.
Door: `serve`.
"""
