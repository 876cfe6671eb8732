"""`fruitcnn serve`: its words."""

from typing import Annotated

import typer

from fruitcnn import options
from fruitcnn.extras import require_extras
from fruitcnn.quick_command import QuickCommand

app = typer.Typer()


@app.command(cls=QuickCommand)
def serve(
    model: options.GivenModel = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine's want a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: a free one.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes; one uses all cores by its threads.")] = 1,
    log: Annotated[options.LogFormat, typer.Option(help="How to write the log.")] = options.LogFormat.text,
) -> None:
    """Answer over HTTP what is in pictures.

    POST a picture to /identify; /docs says more. The token in FRUITCNN_TOKEN is asked for, where one is set. SIGTERM
    ends it after what it has; SIGHUP loads the model's file anew.
    """
    require_extras("serve")
    from fruitcnn.server.serve import serve as answer

    answer(model, host=host, port=port, workers=workers, log=log.value)
