"""The textual index D(i), eq. (3)-(7): from descriptions to each product's neighbours, exactly.

May import: words, output, progress; the server's index, storage, text, cores, errors; never torch.
Door: `build_text_index`, `TextSettings`; on several machines `TextFit`, `join_pair`,
`open_joined_texts`.
"""
