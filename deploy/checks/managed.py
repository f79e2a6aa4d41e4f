#!/usr/bin/env python3
"""Option B on one machine: both services with stores as managed ones are (make test-all).

PostgreSQL that takes TLS only (verify-full), behind pgbouncer in transaction mode; Redis with TLS, an ACL user and a private authority; then three
Sentinels over a primary and a replica, the primary killed under load. Counts as `node --test` does.
"""
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BIN = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
SECRET = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a6978"
children = []


def find(program, *elsewhere):
    return shutil.which(program) or next((str(p) for e in elsewhere for p in sorted(pathlib.Path("/").glob(e.lstrip("/")), reverse=True)), None)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def user_of(store):
    if os.geteuid():
        return None
    try:
        return pwd.getpwnam(store)
    except KeyError:
        return None


def run(*args, user=None, **more):
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, user=user.pw_uid if user else None,
                          group=user.pw_gid if user else None, extra_groups=[] if user else None, **more)
    if done.returncode:
        raise RuntimeError(f"{args[0]} ended with {done.returncode}: {done.stderr or done.stdout}")
    return done.stdout


def start(name, *args, folder, user=None, env=None):
    log = open(folder / f"{name}.log", "w")
    child = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *[str(a) for a in args]], stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder,
        user=user.pw_uid if user else None, group=user.pw_gid if user else None, extra_groups=[] if user else None,
        env={"PATH": os.environ["PATH"], **(env or {})})
    child.name, child.log = name, folder / f"{name}.log"
    children.append(child)
    return child


def until(what, probe, seconds=30):
    deadline, last = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        try:
            value = probe()
            if value:
                return value
        except (OSError, RuntimeError, ValueError) as error:
            last = error
        time.sleep(0.05)
    logs = "\n".join(f"--- {c.name} ({c.poll()})\n" + "\n".join(c.log.read_text().splitlines()[-3:]) for c in children if c.poll() is not None or c.name.startswith(("control", "edge")))
    raise RuntimeError(f"{what}: not within {seconds} s ({last})\n{logs}")


def api(port, method, path, body=None, bearer=None):
    headers = {"Content-Type": "application/json"} if body is not None else {}
    if bearer:
        headers["Authorization"] = f"Bearer {bearer}"
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method, headers=headers,
                                     data=json.dumps(body).encode() if body is not None else None)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text[:1] in b"{[" and text else text.decode()
    except urllib.error.HTTPError as error:
        text = error.read()
        return error.code, json.loads(text) if text[:1] == b"{" else text.decode()


def certificates(folder):
    """A private authority and a certificate for localhost."""
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=Keystone test authority",
        "-keyout", folder / "ca.key", "-out", folder / "ca.pem", "-addext", "basicConstraints=critical,CA:TRUE")
    run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", folder / "server.key", "-out", folder / "server.csr")
    (folder / "ext").write_text("subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
    run("openssl", "x509", "-req", "-in", folder / "server.csr", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-CAcreateserial",
        "-days", "2", "-out", folder / "server.pem", "-extfile", folder / "ext")


def own(path, user):
    if user:
        os.chown(path, user.pw_uid, user.pw_gid)


class Stores:
    """PostgreSQL with TLS, pgbouncer before it."""

    def __init__(self, folder, bin_dir, pgbouncer):
        self.folder, user = folder, user_of("postgres")
        data = folder / "pg"
        data.mkdir()
        own(data, user)
        (folder / "pw").write_text(SECRET)
        own(folder / "pw", user)
        run(f"{bin_dir}/initdb", "--username", "keystone", "--auth", "scram-sha-256", "--pwfile", folder / "pw", "-D", data, "--no-sync", user=user)
        for name in ["server.key", "server.pem"]:
            shutil.copy(folder / name, data / name)
            os.chmod(data / name, 0o600)
            own(data / name, user)
        # Nobody without TLS.
        (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
        own(data / "pg_hba.conf", user)
        self.port, self.pooled = free_port(), free_port()
        start("postgres", f"{bin_dir}/postgres", "-D", data, "-c", f"port={self.port}", "-c", "listen_addresses=127.0.0.1",
              "-c", "unix_socket_directories=", "-c", "ssl=on", "-c", "ssl_cert_file=server.pem", "-c", "ssl_key_file=server.key",
              "-c", "fsync=off", "-c", "max_connections=60", folder=folder, user=user)
        bouncer = folder / "bouncer"
        bouncer.mkdir()
        for name in ["server.key", "server.pem", "ca.pem"]:
            shutil.copy(folder / name, bouncer / name)
        (bouncer / "users").write_text(f'"keystone" "{SECRET}"\n')
        # Two server connections for everybody: a session of one is another's in the next transaction.
        (bouncer / "ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={self.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.pooled}\n"
            f"unix_socket_dir =\npool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 200\nauth_type = scram-sha-256\nauth_file = {bouncer}/users\n"
            f"client_tls_sslmode = require\nclient_tls_key_file = {bouncer}/server.key\nclient_tls_cert_file = {bouncer}/server.pem\n"
            f"server_tls_sslmode = verify-ca\nserver_tls_ca_file = {bouncer}/ca.pem\n")
        for path in [bouncer, *bouncer.iterdir()]:
            own(path, user)
        start("pgbouncer", pgbouncer, bouncer / "ini", folder=folder, user=user)
        for port in [self.port, self.pooled]:
            until(f"port {port} listens", lambda port=port: socket.create_connection(("127.0.0.1", port), 1).close() or True)

    def database(self, name):
        """A new one for each test."""
        run(pathlib.Path(find("psql", "/usr/lib/postgresql/*/bin/psql")), "-qAt", "-c", f"create database {name}", self.url(self.port, "postgres"))
        return name

    def url(self, port, database, mode="verify-full", ca=True):
        root = f"&sslrootcert={self.folder}/ca.pem" if ca else ""
        return f"postgres://keystone:{SECRET}@localhost:{port}/{database}?sslmode={mode}{root}"


def redis_tls(folder):
    port = free_port()
    conf = folder / "redis-tls.conf"
    conf.write_text(
        f"port 0\ntls-port {port}\nbind 127.0.0.1\ntls-cert-file {folder}/server.pem\ntls-key-file {folder}/server.key\ntls-ca-cert-file {folder}/ca.pem\n"
        f"tls-auth-clients no\nsave \"\"\nappendonly yes\ndir {folder}\nmaxmemory-policy noeviction\n"
        f"user default off\nuser keystone on >{SECRET} ~ks:* &ks:* +@all -@dangerous +info\n")
    start("redis-tls", "redis-server", conf, folder=folder)
    cli = ["redis-cli", "--tls", "--cacert", folder / "ca.pem", "-h", "localhost", "-p", port, "--user", "keystone"]
    until("Redis answers", lambda: run(*cli, "ping", env={**os.environ, "REDISCLI_AUTH": SECRET}).strip() == "PONG")
    return port


class Services:
    """Two control-api and an edge with some settings."""

    def __init__(self, folder, settings, tag):
        self.started = []
        common = {"JWT_SECRET": SECRET + "jwt", "LOG_FORMAT": "text", "TRUSTED_PROXIES": "127.0.0.0/8", "NODES_BOOTSTRAP": f"node-0:{SECRET}", **settings}
        run(BIN / "control-api", "migrate", env=common)
        self.control, self.edge = [free_port(), free_port()], free_port()
        for index, port in enumerate(self.control):
            self.started.append(start(f"control-{index}-{tag}", BIN / "control-api", folder=folder, env={**common, "CONTROL_LISTEN": f"127.0.0.1:{port}"}))
        edge = {k: v for k, v in common.items() if not k.startswith(("DATABASE", "JWT", "NODES"))}
        off = {f"EDGE_{name}_LISTEN": "off" for name in ["RTMP", "SRT", "RTC"]}
        self.started.append(start(f"edge-{tag}", BIN / "edge-gateway", folder=folder, env={**edge, **off, "WEBRTC_RELAY": "off", "EDGE_LISTEN": f"127.0.0.1:{self.edge}"}))
        for port in self.control:
            until("control-api is ready", lambda port=port: api(port, "GET", "/readyz")[0] == 200)
        until("the edge has the secrets and control-api", lambda: api(self.edge, "GET", "/readyz?only=edge,redis,secrets,control-api")[0] == 200)

    def account(self, name):
        email, password = f"{name}@example.com", "a long enough password 1"
        status, body = api(self.control[0], "POST", "/v1/auth/register", {"email": email, "password": password, "display_name": name})
        assert status == 201, (status, body)
        status, body = api(self.control[1], "POST", "/v1/auth/login", {"email": email, "password": password})
        assert status == 200, (status, body)
        return body["access_token"]

    def stream(self, bearer):
        status, body = api(self.control[0], "POST", "/v1/streams", {"title": "t", "visibility": "private"}, bearer)
        assert status == 201, (status, body)
        return body["id"] if "id" in body else body["stream"]["id"]

    def token(self, bearer, stream, port):
        return api(port, "POST", f"/v1/streams/{stream}/tokens", {"action": "publish"}, bearer)

    def stop(self):
        for child in self.started:
            child.terminate()
        for child in self.started:
            child.wait(30)
            children.remove(child)


def managed(folder, stores):
    """Everything over verified TLS, Postgres through the pooler."""
    port = redis_tls(folder)
    database = stores.database("managed")
    settings = {
        "DATABASE_URL": stores.url(stores.pooled, database),
        "DATABASE_URL_DIRECT": stores.url(stores.port, database),
        "REDIS_URL": f"rediss://keystone:{SECRET}@localhost:{port}",
        "REDIS_CA_FILE": str(folder / "ca.pem"),
    }
    refused = subprocess.run([BIN / "control-api", "migrate"], capture_output=True, text=True, env={**settings, "JWT_SECRET": SECRET,
        "DATABASE_URL_DIRECT": stores.url(stores.port, database, ca=False)})
    assert refused.returncode and "certificate" in refused.stderr and SECRET not in refused.stderr, ("an unknown authority is refused", refused.stderr)
    services = Services(folder, settings, "managed")
    bearer = services.account("managed")
    stream = services.stream(bearer)
    for index in range(60):
        status, body = services.token(bearer, stream, services.control[index % 2])
        assert status in (201, 429), (index, status, body)
        status, body = api(services.control[index % 2], "GET", f"/v1/streams/{stream}", bearer=bearer)
        assert status == 200, (index, status, body)
    ready = api(services.control[0], "GET", "/readyz")[1]
    assert ready["postgres"] == "ok" and ready["redis"] == "ok", ready
    doctor = subprocess.run([BIN / "keystone", "doctor", "--json", "--data", folder / "none"], capture_output=True, text=True,
                            env={"PATH": os.environ["PATH"], "HOME": "/", "JWT_SECRET": SECRET + "jwt", **settings})
    found = {f["check"]: f for f in json.loads(doctor.stdout)["checks"]}
    for check in ["postgres", "migrations", "redis", "redis-persist", "redis-evict"]:
        assert found[check]["verdict"] == "ok", found[check]
    assert "TLS" in found["postgres"]["reason"] and "TLS" in found["redis"]["reason"], found
    services.stop()


def sentinel(folder, stores):
    """The primary is killed while tokens are issued: how long until Redis is there again, and what failed meanwhile."""
    ports, watchers = [free_port(), free_port()], [free_port() for _ in range(3)]
    base = f"bind 127.0.0.1\nrequirepass {SECRET}\nmasterauth {SECRET}\nsave \"\"\nappendonly yes\nmaxmemory-policy noeviction\n"
    servers = []
    for index, port in enumerate(ports):
        home = folder / f"redis-{index}"
        home.mkdir()
        (home / "redis.conf").write_text(base + f"port {port}\ndir {home}\n" + (f"replicaof 127.0.0.1 {ports[0]}\n" if index else ""))
        servers.append(start(f"redis-{index}", "redis-server", home / "redis.conf", folder=home))
    cli = lambda port, *words: run("redis-cli", "-h", "127.0.0.1", "-p", port, *words, env={**os.environ, "REDISCLI_AUTH": SECRET})
    until("the replica follows", lambda: "master_link_status:up" in cli(ports[1], "info", "replication"))
    for index, port in enumerate(watchers):
        home = folder / f"sentinel-{index}"
        home.mkdir()
        (home / "sentinel.conf").write_text(
            f"port {port}\nbind 127.0.0.1\ndir {home}\nsentinel monitor ks 127.0.0.1 {ports[0]} 2\nsentinel auth-pass ks {SECRET}\n"
            "sentinel down-after-milliseconds ks 1000\nsentinel failover-timeout ks 5000\n")
        start(f"sentinel-{index}", "redis-server", home / "sentinel.conf", "--sentinel", folder=home)
    asked = lambda port, *words: run("redis-cli", "-h", "127.0.0.1", "-p", port, *words)
    for port in watchers:
        until("the sentinels know each other", lambda port=port: "num-other-sentinels\n2" in asked(port, "sentinel", "master", "ks") and
              "num-slaves\n1" in asked(port, "sentinel", "master", "ks"))
    nodes = "".join(f"&node=127.0.0.1:{port}" for port in watchers[1:])
    database = stores.database("sentinel")
    services = Services(folder, {
        "DATABASE_URL": stores.url(stores.pooled, database),
        "DATABASE_URL_DIRECT": stores.url(stores.port, database),
        "REDIS_URL": f"redis-sentinel://:{SECRET}@127.0.0.1:{watchers[0]}?sentinelServiceName=ks{nodes}",
    }, "sentinel")
    bearer = services.account("sentinel")
    stream = services.stream(bearer)
    servers[0].send_signal(signal.SIGKILL)
    servers[0].wait()
    children.remove(servers[0])
    began, failed, issued, back = time.monotonic(), [], 0, None
    while time.monotonic() - began < 40:
        index = issued + len(failed)
        status, body = services.token(bearer, stream, services.control[index % 2])
        if status in (201, 429):
            issued += 1
        else:
            failed.append((status, body))
        states = [api(port, "GET", "/readyz")[1]["redis"] for port in services.control]
        edge = api(services.edge, "GET", "/readyz?only=edge,redis")[0]
        if back is None and set(states) == {"ok"} and edge == 200 and time.monotonic() - began > 1 and "role:master" in cli(ports[1], "info", "replication"):
            back = time.monotonic() - began
            break
        time.sleep(0.1)
    assert back is not None, "Redis was not found again within 40 s"
    assert not failed, f"REST goes on without Redis: {failed[:3]}"
    print(f"    Sentinel failover: Redis was there again for both control-api and the edge after {back:.1f} s; {issued} tokens issued meanwhile, none refused")
    services.stop()


def backup(folder, stores):
    """Dump, restore into an empty database, migrate, serve from it: timed, with a history as of a year."""
    bin_dir = pathlib.Path(find("pg_dump", "/usr/lib/postgresql/*/bin/pg_dump")).parent
    port = redis_tls(folder)
    url = lambda database: stores.url(stores.port, database)
    settings = {"DATABASE_URL": url(stores.database("original")), "REDIS_URL": f"rediss://keystone:{SECRET}@localhost:{port}", "REDIS_CA_FILE": str(folder / "ca.pem")}
    services = Services(folder, settings, "before")
    bearer = services.account("backup")
    stream = services.stream(bearer)
    services.stop()
    sql = lambda database, text: run(bin_dir / "psql", "-qAt", "-v", "ON_ERROR_STOP=1", "-c", text, url(database))
    columns = sql("original", "select string_agg(column_name, ',') from information_schema.columns where table_name = 'audit_log' and column_name <> 'id'")
    sql("original", f"insert into audit_log ({columns}) select {columns} from audit_log, generate_series(1, 200000) limit 200000")
    rows = int(sql("original", "select count(*) from audit_log"))
    began = time.monotonic()
    run(bin_dir / "pg_dump", "--format=custom", "--file", folder / "dump", url("original"))
    dumped = time.monotonic()
    stores.database("restored")
    run(bin_dir / "pg_restore", "--no-owner", "--exit-on-error", "--dbname", url("restored"), folder / "dump")
    restored = time.monotonic()
    services = Services(folder, {**settings, "DATABASE_URL": url("restored")}, "restored")
    served = time.monotonic()
    status, body = api(services.control[0], "POST", "/v1/auth/login", {"email": "backup@example.com", "password": "a long enough password 1"})
    assert status == 200, (status, body)
    assert services.token(body["access_token"], stream, services.control[1])[0] == 201, "keys sealed under JWT_SECRET open again"
    assert int(sql("restored", "select count(*) from audit_log")) >= rows
    size = (folder / "dump").stat().st_size
    print(f"    backup: {rows} rows of history, dump {dumped - began:.1f} s ({size / 1e6:.1f} MB), restore {restored - dumped:.1f} s, serving again after {served - restored:.1f} s more")
    services.stop()


def main():
    needs = {
        "postgres": find("postgres", "/usr/lib/postgresql/*/bin/postgres"), "pgbouncer": find("pgbouncer", "/usr/sbin/pgbouncer"),
        "redis-server": find("redis-server"), "openssl": find("openssl"), "control-api (cargo build)": str(BIN / "control-api") if (BIN / "control-api").exists() else None,
    }
    missing = [name for name, path in needs.items() if not path]
    if missing:
        print(f"skipped managed stores: there is no {', '.join(missing)}\n# pass 0\n# fail 0\n# skipped 3")
        return 0
    counts = {"pass": 0, "fail": 0}
    with tempfile.TemporaryDirectory(prefix="keystone-managed-", dir="/var/tmp") as name:
        folder = pathlib.Path(name)
        os.chmod(folder, 0o755)
        certificates(folder)
        try:
            stores = Stores(folder, str(pathlib.Path(needs["postgres"]).parent), needs["pgbouncer"])
            for test in [managed, sentinel, backup]:
                try:
                    test(folder, stores)
                    counts["pass"] += 1
                except (AssertionError, RuntimeError, KeyError) as error:
                    print(f"FAILED {test.__name__}: {error}")
                    counts["fail"] += 1
        finally:
            for child in reversed(children):
                child.send_signal(signal.SIGINT if child.name == "postgres" else signal.SIGTERM)
            for child in children:
                try:
                    child.wait(15)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
    print(f"# pass {counts['pass']}\n# fail {counts['fail']}\n# skipped 0")
    return 1 if counts["fail"] else 0


if __name__ == "__main__":
    sys.exit(main())
