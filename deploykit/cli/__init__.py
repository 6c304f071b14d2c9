"""The command line: options → one command → report → exit status.

``main.py`` is the door and the error boundary, ``context.py`` what every verb shares, and each other module the options
of one verb. A verb's module is imported only when that verb runs.
"""
