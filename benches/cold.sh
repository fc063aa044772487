#!/bin/bash
# The first machine: from an empty store to the first line of the guest's kernel, `kiln run recipes/cxl-quick.kiln`.
#
# Usage, from anywhere:
#   benches/cold.sh [KILN]           KILN, STORE and ROUNDS as in lib.sh; the store is where the packages are taken from
#   RATE=12500000 benches/cold.sh    the mirror sends so many bytes a second, to all together [default: as fast as it can]
#   FILE=RECIPE benches/cold.sh      another recipe of recipes/ with one image and one machine, all of whose packages are Debian's
# Needs python3, and the network for packages that the store lacks.
#
# Every round has a store of its own, and a mirror on loopback that has the locked packages and nothing else; that it reads
# them from memory is part of the idea. The machine runs under software emulation, and is ended when its kernel says its first
# line. Prints when each thing was said, and of all rounds the median, with the processor time of kiln and everything that it
# started.
# shellcheck source=benches/lib.sh
. "$(dirname "$0")/lib.sh"
needs cold python3
program "${1:-}"
recipe=${FILE:-cxl-quick.kiln}
cp -r recipes "$work/recipes"
lock=$work/recipe.lock
cp "lockfiles/${recipe%.kiln}.lock" "$lock"
quietly "$work/log" "$kiln" verify --inputs --lock "$lock" "recipes/$recipe"

cat >"$work/mirror.py" <<'END'
# Serves what a lock names, out of a store: every path of a package is answered with the blob of its digest.
import http.server, os, re, sys, threading, time
lock, store, said, rate = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4] or "inf")
paths = dict(re.findall(r'path = "([^"]*)".*sha256 = "([0-9a-f]{64})"', open(lock).read()))
turn, due = threading.Lock(), [0.0]
class Mirror(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        digest = paths.get(self.path[1:].partition("/")[2])
        if digest is None:
            return self.send_error(404)
        with open(os.path.join(store, "cas", digest), "rb") as file:
            self.send_response(200)
            self.send_header("Content-Length", str(os.fstat(file.fileno()).st_size))
            self.end_headers()
            while piece := file.read(1 << 16):
                with turn:
                    due[0] = max(due[0], time.monotonic()) + len(piece) / rate
                    until = due[0]
                time.sleep(max(0, until - time.monotonic()))
                self.wfile.write(piece)
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
with open(said + ".new", "w") as file:
    file.write(f"http://127.0.0.1:{server.server_port}")
os.rename(said + ".new", said)
server.serve_forever()
END
cat >"$work/follow.py" <<'END'
# Runs a command until its output has the first line of a kernel; says when each line was said, and writes the two figures.
import os, re, signal, subprocess, sys, threading, time
figures, command = sys.argv[1], sys.argv[2:]
began, ready = time.monotonic(), threading.Event()
run = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
# Ctrl-C reaches the command as well, whose store goes only when it has ended.
signal.signal(signal.SIGINT, lambda *_: sys.exit(run.wait() or 130))
reached = None
for line in run.stdout:
    now, text = time.monotonic() - began, line.decode(errors="replace").rstrip()
    if reached is None:
        print(f"{now:8.2f}  {text[:110]}", flush=True)
        if "Linux version" in text:
            reached = now
            run.send_signal(signal.SIGTERM)
_, status, used = os.wait4(run.pid, 0)
if reached is None:
    sys.exit("the guest's kernel said nothing")
with open(figures, "a") as file:
    file.write(f"{reached:.2f} {used.ru_utime + used.ru_stime:.2f}\n")
END
python3 "$work/mirror.py" "$lock" "$KILN_STORE" "$work/address" "${RATE:-}" &
daemons+=($!)
while [ ! -e "$work/address" ]; do kill -0 $!; sleep 0.1; done

for ((round = 1; round <= rounds; round++)); do
    # A build adds to the lock what came out.
    cp "$lock" "$work/now.lock"
    echo "round $round"
    (cd "$work" && KILN_STORE="$work/new" KILN_MIRROR=$(cat address) python3 follow.py figures \
        "$kiln" run --accel tcg --lock now.lock "recipes/$recipe")
    rm -rf --one-file-system "$work/new"
done
cut -d ' ' -f 1 "$work/figures" > "$work/cold.times"
cut -d ' ' -f 2 "$work/figures" > "$work/cold.cpu"
figure cold.kiln "$(median cold.times)" s "<=15"
figure cold.kiln-processor "$(median cold.cpu)" s
