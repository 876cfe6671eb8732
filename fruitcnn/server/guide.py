"""What /docs shows: a page without anything from elsewhere; programs read /openapi.json."""

from typing import Any

from fruitcnn.server import limits

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FILES = {"type": "object", "properties": {"picture": {"type": "array", "items": _BINARY["schema"]}}}
# What OpenAPI says of a request's body.
IDENTIFY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"image/*": _BINARY, "multipart/form-data": {"schema": _FILES}},
    }
}
GUIDE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>fruitcnn serve</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46em; margin: 2em auto; padding: 0 1em }}
pre {{ background: #f3f3f3; padding: .8em; overflow-x: auto }}
td, th {{ text-align: left; padding: .2em 1em .2em 0; vertical-align: top }}
</style>
<h1>fruitcnn serve</h1>
<h2>POST /identify</h2>
<p>A picture's file as the body gives an object; a form with files gives a list, in their order.</p>
<pre>curl --data-binary @photo.jpg ADDRESS/identify
curl -F picture=@one.jpg -F picture=@two.jpg ADDRESS/identify
curl -H "Authorization: Bearer $FRUITCNN_TOKEN" --data-binary @photo.jpg 'ADDRESS/identify?top=3&amp;explain=1'</pre>
<p><code>top=K</code>: only the K likeliest labels. <code>explain=1</code>: <code>overlay</code>, the picture with what
speaks for the answer laid over it, as a data address.</p>
<p>Keys: <code>file</code>, <code>identify_label</code>, <code>identify_rate</code> (null where the label is
<code>unknown</code>), <code>prediction</code>, <code>probabilities</code>, <code>familiarity</code>; or
<code>file</code> and <code>error</code>. Anything else that is refused is an object with <code>error</code>.</p>
<table>
<tr><th>200</th><td>answered; in a list each picture says for itself</td></tr>
<tr><th>400</th><td>a form that is damaged or empty, a parameter that is none</td></tr>
<tr><th>401</th><td>no token, or another</td></tr>
<tr><th>408</th><td>the body was not there within {limits.BODY_SECONDS:.0f} seconds</td></tr>
<tr><th>413</th><td>more than {limits.BODY_BYTES / 1e6:,.0f} MB, or {limits.PICTURES} pictures</td></tr>
<tr><th>415</th><td>not a picture that can be read</td></tr>
<tr><th>422</th><td>a picture that is damaged or too large</td></tr>
<tr><th>429, 503</th><td>too busy; come back after Retry-After</td></tr>
</table>
<h2>Others</h2>
<table>
<tr><th>GET /health</th><td>the process is alive</td></tr>
<tr><th>GET /ready</th><td>a model is loaded</td></tr>
<tr><th>GET /info</th><td>the model's card, and limits</td></tr>
<tr><th>GET /metrics</th><td>counters for Prometheus</td></tr>
<tr><th>GET /openapi.json</th><td>this, for programs</td></tr>
</table>
</html>
"""
