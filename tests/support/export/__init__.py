"""What the tests of export stand on: builds, small networks, labelled titles."""
