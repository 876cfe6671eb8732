"""`python -m fruitcnn` and the `fruitcnn` script: signals first, then everything that takes time to import."""

from fruitcnn.signals import end_on_signals


def main() -> None:
    """Run the command; a signal ends it at once."""
    end_on_signals()
    from fruitcnn.cli import main as run

    run()


if __name__ == "__main__":
    main()
