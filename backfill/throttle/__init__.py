"""How fast a run may go.

pace      rows a second, and the pauses that keep to it
governor  slower while consumers fall behind or their transactions take longer
"""
