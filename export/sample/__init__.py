"""A rendered sample catalogue of invented cosmetics, with query photos and ground truth.

May import: no other room.
Door: `write_sample`.
"""

from export.sample.write_sample import write_sample

__all__ = ["write_sample"]
