"""What the tests stand on: a tiny world that is real, servers, doubles at the borders."""
