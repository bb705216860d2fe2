"""Questions to an oracle: which pairs to ask about next, and the file in which they are answered.

An oracle (a person before `curate view`, or a program) says whether two samples show the same.
`ask` chooses pairs that would teach most, and appends them to a file; answers are appended to the
same file, and miner `oracle` reads it.
"""

from .ask import Asked, AskOptions, ask
from .log import QuestionLog, Record

__all__ = ["AskOptions", "Asked", "QuestionLog", "Record", "ask"]
