"""The web process: health, metrics, and room for a control panel. Loaded only by `python -m runtime web`."""
