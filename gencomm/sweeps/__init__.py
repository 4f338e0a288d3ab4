"""Sweeps: configuration -> plan -> trials -> store.

Called `sweeps`, and its neighbour `sending`, so that the names of the verbs, ``gencomm.sweep`` and
``gencomm.send``, stay free for the functions: Python binds a submodule to its parent's attribute.
"""
