"""Reads the words on a photo: finds lines of text, turns them upright, recognises their symbols.

The three models run in the engine, like the backbones. What is here makes boxes from a map of text
and characters from symbols. Read `reader`, then `boxes` and `lines`.

May import: engines, models, compilation, errors.
Door: `reader`, that is, its open_reader, Reader and ReadLine.
"""
