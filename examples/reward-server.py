"""A reward behind HTTP in Python's standard library: prefers images of many different bytes.

    python examples/reward-server.py --port 8400
    tts-var search --prompt "a photo of a dog" --reward http://localhost:8400

Replace `score` by your model. Decode an image with Pillow: Image.open(io.BytesIO(png)).
"""

import argparse
import base64
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def score(png: bytes, prompt: str, metadata: dict) -> float:
    """One number per image; higher is better."""
    return len(set(png)) / 256


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        try:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.path != "/score" or request["schemaVersion"] != 1:
                return self.answer(404, {"error": "this server answers POST /score, schemaVersion 1"})
            scores = [
                score(base64.b64decode(item["imagePngBase64"]), item["prompt"], item["metadata"])
                for item in request["items"]
            ]
            self.answer(200, {"scores": scores})
        except (KeyError, TypeError, ValueError) as error:
            self.answer(400, {"error": f"bad request: {error!r}"})

    def answer(self, status: int, content: dict) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8400)
    server = ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), Handler)
    print(f"scoring on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
