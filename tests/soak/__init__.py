"""A soak: searches and changes for a long time, with a fault at random every few seconds.

`make soak` runs it; `test_soak.py` runs its short form. Every answer is compared with brute force,
the server has to be back soon after each fault, and nothing may leak.
"""
