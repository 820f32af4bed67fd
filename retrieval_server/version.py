"""The version of this distribution, as pip knows it."""

from importlib.metadata import version

VERSION = version("beauty-retrieval")
