"""How the sample pictures are drawn: a canvas, shapes on it, fruit made of shapes, scenes made of fruit."""
