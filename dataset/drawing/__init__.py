"""How the sample pictures are drawn: a canvas, shapes on it, fruit made of shapes, scenes made of fruit.

Nothing that is installed needs it: it is run from the repository's root, `python -m dataset.drawing OUT`.
"""
