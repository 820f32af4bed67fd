"""How long a test waits for what must happen."""

# Only a test that fails waits so long. It is no statement about speed: on a machine that is many
# times overloaded, what takes milliseconds elsewhere takes seconds.
PATIENCE_S = 600
