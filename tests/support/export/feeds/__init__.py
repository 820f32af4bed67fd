"""The sample catalogue as other programs export it: does the reader take it, or say why not?

A *dialect* is one way in which a shop, a spreadsheet or a data frame writes a catalogue. Each one
states what should come out: the index of the plain catalogue, or a refusal in one line.
``make try-feeds`` prints the table; ``tests/export/test_feeds.py`` runs the same trials.
"""
