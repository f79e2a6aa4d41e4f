/** What `getStats` says of a session, in the few numbers that people read. */
export interface Reading {
  /** Of `performance.now()`, ms. */
  at: number;
  /** Frames decoded, or sent. */
  frames: number;
  audioPackets: number;
  bytes: number;
  lost: number;
  width: number;
  height: number;
  /** Round trip to the node, ms; absent until measured. */
  rtt?: number;
  /** Frames and samples wait this long for their turn, s, and so many did. */
  waited?: { seconds: number; count: number };
  /** Why the encoder sends less than it may: `cpu`, `bandwidth`. */
  limited?: string;
}

export interface Rates extends Reading {
  kbps: number;
  fps: number;
  /** How far behind the publisher's camera, ms, as far as this end can tell; absent until measured. */
  latency?: number;
}

type Row = Record<string, unknown>;

/** Sums the rows of one direction. A field that the browser has not filled in yet counts as 0. */
export function read(report: Iterable<object>, direction: "inbound-rtp" | "outbound-rtp", at: number): Reading {
  const reading: Reading = { at, frames: 0, audioPackets: 0, bytes: 0, lost: 0, width: 0, height: 0 };
  for (const row of report as Iterable<Row>) {
    if (row.type === "candidate-pair" && row.nominated === true && typeof row.currentRoundTripTime === "number")
      reading.rtt = Math.round(row.currentRoundTripTime * 1000);
    if (row.type === direction) add(reading, row, direction === "inbound-rtp");
  }
  return reading;
}

function add(reading: Reading, row: Row, inbound: boolean): void {
  const number = (name: string): number => (typeof row[name] === "number" ? (row[name] as number) : 0);
  reading.bytes += number(inbound ? "bytesReceived" : "bytesSent");
  reading.lost += Math.max(0, number("packetsLost"));
  if (row.kind === "audio") reading.audioPackets += number(inbound ? "packetsReceived" : "packetsSent");
  if (row.kind !== "video") return;
  reading.frames += number(inbound ? "framesDecoded" : "framesSent");
  reading.width = Math.max(reading.width, number("frameWidth"));
  reading.height = Math.max(reading.height, number("frameHeight"));
  if (inbound) reading.waited = { seconds: number("jitterBufferDelay"), count: number("jitterBufferEmittedCount") };
  const reason = row.qualityLimitationReason;
  if (reason === "cpu" || reason === "bandwidth") reading.limited = reason;
}

/** Rates between two readings; 0 without an earlier one. */
export function rates(now: Reading, before: Reading | undefined): Rates {
  const ms = before === undefined ? 0 : now.at - before.at;
  if (before === undefined || ms <= 0) return { ...now, kbps: 0, fps: 0 };
  const behind = latency(now, before);
  return {
    ...now,
    kbps: Math.max(0, Math.round(((now.bytes - before.bytes) * 8) / ms)),
    fps: Math.max(0, Math.round(((now.frames - before.frames) * 1000) / ms)),
    ...(behind === undefined ? {} : { latency: behind }),
  };
}

/** Half the way there and back, and the wait in the buffer: what this end sees of the delay. The publisher's half is not in it. */
function latency(now: Reading, before: Reading): number | undefined {
  const count = (now.waited?.count ?? 0) - (before.waited?.count ?? 0);
  if (count <= 0 || now.rtt === undefined) return undefined;
  const buffered = ((now.waited?.seconds ?? 0) - (before.waited?.seconds ?? 0)) / count;
  return Math.max(0, Math.round(buffered * 1000 + now.rtt / 2));
}

/** Reads once a second until the answer is called. */
export function follow(
  pc: RTCPeerConnection,
  direction: "inbound-rtp" | "outbound-rtp",
  tell: (rates: Rates) => void,
): () => void {
  let before: Reading | undefined;
  const timer = setInterval(() => {
    void pc.getStats().then((report) => {
      if (pc.signalingState === "closed") return;
      const now = read(report.values(), direction, performance.now());
      tell(rates(now, before));
      before = now;
    });
  }, 1000);
  return () => clearInterval(timer);
}
