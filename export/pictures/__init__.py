"""Pages and pictures for people: contact sheets, and the attention of eq. (1)-(2).

May import: ground_truth, progress; the server's attributes, command_line, models, errors; never
torch.
Door: `write_contact_sheet`, `write_attention_page`.
"""
