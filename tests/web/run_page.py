# SPDX-License-Identifier: MIT
"""run_page.py BROWSER FOLDER MODEL: serve the page in FOLDER, with the model's files as
model/, let a browser without a window run it, and check the story that it wrote: the
reference implementation's."""
import http.server
import json
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading

STORY = (", there was a little girl named Lily. She loved to play with her toys and eat "
         "yummy snacks. One day, she went to the park to play with her toys. She saw a "
         "big, red ball and wanted to play with it.\n")
browser, folder, model = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
done = queue.Queue()


class Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = {'.html': 'text/html', '.js': 'text/javascript',
                      '.wasm': 'application/wasm', '': 'application/octet-stream'}

    def translate_path(self, path):
        name = path.split('?')[0].lstrip('/')
        if name.startswith('model/'):
            return str(model / pathlib.Path(name).name)
        return str(folder / pathlib.Path(name).name)

    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        self.send_response(204)
        self.end_headers()
        done.put(json.loads(body))

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
page = 'http://127.0.0.1:%d/story.html?test=1' % server.server_port
with tempfile.TemporaryDirectory() as profile, \
        tempfile.TemporaryFile() as said:
    run = subprocess.Popen(
        [browser, '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
         '--no-first-run', '--user-data-dir=' + profile, '--remote-debugging-port=0', page],
        stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT)
    try:
        report = done.get(timeout=240)
    except queue.Empty:
        said.seek(0)
        sys.exit('the page did not report; the browser said:\n' +
                 said.read().decode(errors='replace')[-2000:])
    finally:
        run.terminate()
        run.wait()
if 'error' in report:
    sys.exit('the page failed: ' + report['error'])
print('%d pieces in %d frames: %r' % (report['pieces'], report['frames'], report['text']))
assert report['text'].startswith(STORY), 'another story than the reference'
assert report['shown'] == 'Once upon a time' + report['text'], 'shown otherwise'
assert report['frames'] > 1, 'the browser could not draw meanwhile'
