/** A cluster for one run: `keystone up` with its data in a folder of its own, ended and removed after. */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";

const READY_MS = 90_000;
const STOP_MS = 30_000;

export async function startCluster() {
  const program = process.env.KEYSTONE_BIN ?? fileURLToPath(new URL("../../target/debug/keystone", import.meta.url));
  const data = mkdtempSync(`${tmpdir()}/ks-web-`);
  const args = ["up", "--data", data, "--port-base", process.env.KEYSTONE_PORT_BASE ?? "0"];
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise((done) => child.once("close", done));
  const said = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes) => said.push(String(bytes)));
  const stop = async () => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    await ended;
    clearTimeout(timer);
    rmSync(data, { recursive: true, force: true });
  };
  const ready = await Promise.race([heard(said, child), ended.then(() => false)]);
  if (!ready) {
    await stop();
    throw new Error(`keystone up did not come up:\n${said.join("")}`);
  }
  return {
    base: /^web +(\S+)$/m.exec(said.join(""))?.[1],
    admin: JSON.parse(readFileSync(`${data}/admin.json`, "utf8")),
    killNode: (node) => kill(child.pid, data, node),
    stop,
  };
}

/** Whether it said that it is up, in time. */
function heard(said, child) {
  return new Promise((done) => {
    const timer = setTimeout(() => done(false), READY_MS);
    const look = () => {
      if (!said.join("").includes("Ctrl-C ends all of it")) return;
      clearTimeout(timer);
      done(true);
    };
    child.stdout.on("data", look);
    child.stderr.on("data", look);
  });
}

/** Ends one media node of ours the hard way: the child of our `keystone` that works in that node's folder. */
function kill(parent, data, node) {
  const parentOf = (pid) => /^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  const found = readdirSync("/proc").filter((pid) => {
    try {
      return (
        /^\d+$/.test(pid) && parentOf(pid) === String(parent) && readlinkSync(`/proc/${pid}/cwd`) === `${data}/${node}`
      );
    } catch {
      // It has ended since.
      return false;
    }
  });
  if (found.length !== 1) throw new Error(`${found.length} processes look like ${node}`);
  process.kill(Number(found[0]), "SIGKILL");
}
