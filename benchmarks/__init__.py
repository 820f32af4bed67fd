"""The programs that measure the published figures of speed and memory: ``make bench-…``."""
