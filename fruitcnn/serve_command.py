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
        str,
        typer.Option(metavar="ADDRESS", help="Address to listen on; any but this machine's own needs a token."),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="Port to listen on; 0: any free one.")
    ] = 8000,
    workers: Annotated[
        int, typer.Option(min=1, max=256, metavar="N", help="Number of processes; one uses all cores, by its threads.")
    ] = 1,
    log: Annotated[options.LogFormat, typer.Option(help="Format of the log.")] = options.LogFormat.text,
) -> None:
    """Identify pictures over HTTP.

    POST a picture to /identify; /docs describes all requests. Where the environment variable FRUITCNN_TOKEN is set,
    requests must carry that token. SIGTERM ends the server after the requests that it has; SIGHUP loads the model's
    file again.
    """
    require_extras("serve")
    from fruitcnn.server.serve import serve as answer

    answer(model, host=host, port=port, workers=workers, log=log.value)
