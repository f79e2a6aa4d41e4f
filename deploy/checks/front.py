#!/usr/bin/env python3
"""Runs Caddy with deploy/Caddyfile.option-a before stand-ins of control-api, an edge and the page, and asks what goes where."""
import http.client
import http.server
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

DEPLOY = pathlib.Path(__file__).resolve().parent.parent


def stand_in(name):
    """Answers every request with its own name, the path it was asked for and the client's address it was told."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = f"{name} {self.path} {self.headers.get('X-Forwarded-For')}".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def ask(port, method, path, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers=headers or {})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def main():
    control, edge, web = stand_in("control"), stand_in("edge"), stand_in("web")
    # A second edge that nobody has: its requests go to the first.
    front, inner, hooks, nobody = (free_port() for _ in range(4))
    text = (DEPLOY / "Caddyfile.option-a").read_text()
    text = text.replace("http://:8880", f"http://:{inner}").replace("http://:8881", f"http://:{hooks}")
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "Caddyfile"
        file.write_text(text)
        env = {
            **os.environ,
            "KEYSTONE_SITE": f":{front}",
            "CONTROLS": f"127.0.0.1:{control}",
            "EDGES": f"127.0.0.1:{edge} 127.0.0.1:{nobody}",
            "WEB": f"127.0.0.1:{web}",
            "XDG_DATA_HOME": folder,
            "XDG_CONFIG_HOME": folder,
        }
        with open(pathlib.Path(folder) / "log", "w") as log:
            caddy = subprocess.Popen(["caddy", "run", "--config", file, "--adapter", "caddyfile"], env=env, stdout=log, stderr=log)
            try:
                wait(inner, caddy)
                return questions(front, inner, hooks)
            finally:
                caddy.terminate()
                caddy.wait(15)


def wait(port, caddy):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and caddy.poll() is None:
        try:
            if ask(port, "GET", "/healthz") == (200, "ok"):
                return
        except OSError:
            time.sleep(0.05)
    sys.exit("caddy did not start")


def questions(front, inner, hooks):
    rows = [
        (front, "GET", "/api/v1/streams", 200, r"control /v1/streams 127\.0\.0\.1$"),
        (front, "POST", "/rtc/v1/whip/abc", 200, r"edge /rtc/v1/whip/abc 127\.0\.0\.1$"),
        (front, "GET", "/live/abc.m3u8", 200, r"edge /live/abc\.m3u8 "),
        (front, "GET", "/hls/abc.m3u8", 200, r"edge /hls/abc\.m3u8 "),
        (front, "GET", "/", 200, r"web / "),
        (front, "GET", "/watch/abc", 200, r"web /watch/abc "),
        (front, "POST", "/api/v1/hooks/srs/n/s", 404, ""),
        (front, "POST", "/api//v1/hooks/srs/n/s", 404, ""),
        (front, "GET", "/api/internal/v1/route/abc", 404, ""),
        (front, "GET", "/api/metrics", 404, ""),
        (front, "POST", "/api/v1/srs/register", 404, ""),
        (front, "POST", "/rtc/v1/hooks/srs/n/s", 404, ""),
        (front, "POST", "/v1/hooks/srs/n/s", 404, ""),
        (hooks, "POST", "/v1/hooks/srs/n/s", 200, r"edge /v1/hooks/srs/n/s "),
        (hooks, "GET", "/v1/streams", 404, ""),
        (inner, "GET", "/anything", 404, ""),
    ]
    faults = 0
    for _ in range(2):  # both edges get their turn
        for port, method, path, status, pattern in rows:
            got = ask(port, method, path)
            if got[0] != status or not re.match(pattern, got[1]):
                print(f"{method} {path}: {got}, not {status} {pattern}")
                faults += 1
    forged = ask(front, "GET", "/api/v1/me", {"X-Forwarded-For": "203.0.113.9"})
    if "203.0.113.9" in forged[1]:
        print(f"a client's own X-Forwarded-For is passed on: {forged}")
        faults += 1
    return faults


sys.exit(1 if main() else 0)
