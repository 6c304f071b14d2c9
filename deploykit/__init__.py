"""deploykit: run background processes on Railway and prove what is running."""

__version__ = "0.1.0"
