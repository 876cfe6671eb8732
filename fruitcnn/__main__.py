"""`python -m fruitcnn` is the `fruitcnn` command."""

from fruitcnn.cli import main

main()
