"""A local Railway: its GraphQL over real HTTP, each deployment as real processes.

``Sandbox`` starts one in the background and is the way to work with it from Python. The server itself is
``python -m deploykit.sandbox.server``.
"""

from deploykit.sandbox.handle import Sandbox

__all__ = ["Sandbox"]
