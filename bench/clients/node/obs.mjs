/**
 * Publishes the way OBS Studio does (plugins/obs-webrtc/whip-output.cpp): libdatachannel, the stack inside OBS; an offer without any
 * candidate; one POST that follows redirects and takes 201 only, 8 s; a Location that does not start with `http` is a path at the root of
 * the host; no PATCH; a DELETE that wants 200. The media are a real encoder's RTP packets.
 *
 *     node obs.mjs URL SECONDS [TOKEN]
 *
 * Prints one JSON line: {"frames_video", "frames_audio", "state", "delete"}; frames are packets that libdatachannel took.
 */
import { spawn } from "node:child_process";
import dgram from "node:dgram";
import { once } from "node:events";
import nd from "node-datachannel";

const [url, seconds = "5", token] = process.argv.slice(2);
const POST_MS = 8_000;
const CONNECT_MS = 10_000;
const OPUS = { type: 111, ssrc: 1111 };
const H264 = { type: 96, ssrc: 2222 };

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const headers = (more) => ({ ...(token ? { Authorization: `Bearer ${token}` } : {}), ...more });

function tracks(pc) {
  const audio = new nd.Audio("0", "SendOnly");
  audio.addOpusCodec(OPUS.type);
  audio.addSSRC(OPUS.ssrc, "obs", "obs", "obs-audio");
  const video = new nd.Video("1", "SendOnly");
  video.addH264Codec(H264.type);
  video.addSSRC(H264.ssrc, "obs", "obs", "obs-video");
  return { audio: pc.addTrack(audio), video: pc.addTrack(video) };
}

/** OBS resends the credential wherever it is redirected to; `fetch` would drop it at another host. */
async function post(target, body, hops = 5) {
  const answer = await fetch(target, {
    method: "POST",
    redirect: "manual",
    headers: headers({ "Content-Type": "application/sdp" }),
    body,
    signal: AbortSignal.timeout(POST_MS),
  });
  const to = answer.headers.get("location");
  if ((answer.status === 307 || answer.status === 308) && to && hops > 0) return post(new URL(to, target).href, body, hops - 1);
  if (answer.status !== 201) throw new Error(`POST: ${answer.status} ${(await answer.text()).slice(0, 200)}`);
  if (!to) throw new Error("POST: no Location, OBS gives up");
  const session = to.startsWith("http") ? to : new URL(`/${to.replace(/^\//, "")}`, target).href;
  const text = await answer.text();
  return { session, answer: text.slice(Math.max(0, text.indexOf("v=0"))) };
}

/** An encoder's RTP, arriving on a port of ours, sent on with the payload type and source that were offered. */
async function feed(track, { type, ssrc }, encoding, children) {
  const socket = dgram.createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  let sent = 0;
  socket.on("message", (packet) => {
    const isRtp = packet.length > 12 && (packet[1] < 192 || packet[1] > 223);
    if (!isRtp || !track.isOpen()) return;
    packet[1] = (packet[1] & 0x80) | type;
    packet.writeUInt32BE(ssrc, 8);
    if (track.sendMessageBinary(packet)) sent++;
  });
  const child = spawn("ffmpeg", ["-v", "error", "-re", ...encoding, "-f", "rtp", `rtp://127.0.0.1:${socket.address().port}?pkt_size=1200`], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  children.push(child);
  return () => {
    // Not asked politely: it would complain that its output was cut short.
    child.kill("SIGKILL");
    socket.close();
    return sent;
  };
}

const PICTURE = "-f lavfi -i testsrc2=size=640x360:rate=30 -c:v libx264 -preset ultrafast -tune zerolatency -profile:v baseline -pix_fmt yuv420p -bf 0 -g 30 -b:v 800k -bsf:v dump_extra=freq=keyframe";
const TONE = "-f lavfi -i sine=frequency=440:sample_rate=48000 -c:a libopus -ac 2 -b:a 64k -frame_duration 20";

async function main() {
  const children = [];
  const pc = new nd.PeerConnection("obs", { iceServers: [] });
  try {
    const { audio, video } = tracks(pc);
    const offer = await new Promise((done) => {
      pc.onLocalDescription((sdp) => done(sdp));
      pc.setLocalDescription("offer");
    });
    const { session, answer } = await post(url, offer.replace(/^a=candidate:.*\r?\n/gm, "").replace(/^a=end-of-candidates\r?\n/gm, ""));
    let deleted;
    let counts;
    try {
      const open = new Promise((done, failed) => {
        pc.onStateChange((state) => {
          if (state === "connected") done();
          if (state === "failed" || state === "closed") failed(new Error(`the peer connection ${state}`));
        });
        setTimeout(() => failed(new Error("the peer connection did not come up")), CONNECT_MS);
      });
      pc.setRemoteDescription(answer, "answer");
      await open;
      const picture = await feed(video, H264, PICTURE.split(" "), children);
      const tone = await feed(audio, OPUS, TONE.split(" "), children);
      await sleep(Number(seconds) * 1000);
      counts = { frames_video: picture(), frames_audio: tone(), state: pc.state() };
    } finally {
      deleted = (await fetch(session, { method: "DELETE", headers: headers({}) })).status;
    }
    console.log(JSON.stringify({ ...counts, delete: deleted }));
  } finally {
    for (const child of children) child.kill("SIGKILL");
    pc.close();
    nd.cleanup();
  }
}

await main().catch((cause) => {
  console.error(`obs: ${cause.message}`);
  process.exitCode = 1;
});
// libdatachannel's threads would keep the process.
process.exit();
