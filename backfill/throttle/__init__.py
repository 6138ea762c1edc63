"""How fast a run may go.

pace      how many keys the next chunk has, and how long a worker rests before it
governor  slower while consumers fall behind or their transactions take longer
"""
