"""`projector status`.

status  what is applied, what was refused, when the figures were last compared, and how it is printed
"""
