"""The textual index D(i), eq. (3)-(7): from descriptions to each product's neighbours, exactly.

May import: output, progress, and the server's text and storage; never torch. Door:
`build_text_index`.
"""
