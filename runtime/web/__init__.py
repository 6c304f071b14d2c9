"""The web process: health, metrics, status and control panel. Loaded only by `python -m runtime web`."""
