"""The version, in the one place from which the package, the wheel and the command read it."""

__version__ = "0.1.0.dev0"
