"""`curate view`: a local web page over a pairset, to browse, filter, search and label.

What is shown is read from the pairset's files, some row groups at a time; what is written are
lines of a file of questions (`manifests.questions`), and nothing else.
"""

from .server import Server, open_server
from .state import Search, Viewer

__all__ = ["Search", "Server", "Viewer", "open_server"]
