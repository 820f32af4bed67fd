"""What the tests of the manifests and images stand on: pods on this machine, seeded defects."""
