"""What we publish about speed and memory, each figure by a module of its own: ``make bench-…``."""
