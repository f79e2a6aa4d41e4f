/** What runs in the browser: each third-party client behind the same call. Bundled by browser.mjs. */
import { WebRTCPlayer } from "@eyevinn/webrtc-player";
import { WHIPClient as EyevinnWhip } from "@eyevinn/whip-web-client";
import { MediaMTXWebRTCReader } from "mediamtx-webrtc-react";
import { WHEPClient as MedoozeWhep } from "whip-whep/whep.js";
import { WHIPClient as MedoozeWhip } from "whip-whep/whip.js";

const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

// Most of these clients keep their peer connection to themselves; its statistics are what counts.
const peers = [];
const Native = window.RTCPeerConnection;
window.RTCPeerConnection = class extends Native {
  constructor(...given) {
    super(...given);
    peers.push(this);
  }
};

const camera = () => navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 360 } });

/** SRS takes H.264; a publisher that does not choose offers VP8 first. */
function preferH264(pc) {
  for (const transceiver of pc.getTransceivers()) {
    if (transceiver.sender.track?.kind !== "video") continue;
    transceiver.setCodecPreferences(RTCRtpSender.getCapabilities("video").codecs.filter(({ mimeType }) => /h264|rtx/i.test(mimeType)));
  }
}

/** Each starts its client and answers what ends it. */
const CLIENTS = {
  async "medooze-whip"(url, token) {
    const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    const media = await camera();
    for (const track of media.getTracks()) pc.addTransceiver(track, { direction: "sendonly", streams: [media] });
    preferH264(pc);
    const client = new MedoozeWhip();
    await client.publish(pc, url, token);
    return () => client.stop();
  },
  async "medooze-whep"(url, token) {
    const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    for (const kind of ["audio", "video"]) pc.addTransceiver(kind, { direction: "recvonly" });
    const client = new MedoozeWhep();
    await client.view(pc, url, token);
    return () => client.stop();
  },
  async "eyevinn-whip"(url, token) {
    const client = new EyevinnWhip({ endpoint: url, opts: { iceServers: [], authkey: token } });
    await client.ingest(await camera());
    return () => client.destroy();
  },
  async "eyevinn-player"(url, token) {
    const video = document.querySelector("video");
    const player = new WebRTCPlayer({ video, type: "whep", iceServers: [] });
    // Its key goes into the header as it is.
    player.load(new URL(url), token && `Bearer ${token}`);
    return () => player.unload();
  },
  async "mediamtx-reader"(url, token) {
    const errors = [];
    const reader = new MediaMTXWebRTCReader({ url, ...(token && { token }), onError: (error) => errors.push(error), onTrack: () => {} });
    reader.errors = errors;
    return () => reader.close();
  },
};

async function count(direction) {
  const counts = { frames_video: 0, frames_audio: 0, state: peers.at(-1)?.connectionState ?? "none" };
  for (const pc of peers) {
    for (const row of (await pc.getStats()).values()) {
      if (row.type !== direction) continue;
      if (row.kind === "video") counts.frames_video += row.framesDecoded ?? row.framesSent ?? 0;
      else counts.frames_audio += row.packetsReceived ?? row.packetsSent ?? 0;
    }
  }
  return counts;
}

window.run = async (name, url, token, seconds) => {
  const stop = await CLIENTS[name](url, token);
  const patience = performance.now() + 15_000;
  while (!peers.some(({ connectionState }) => connectionState === "connected") && performance.now() < patience) await sleep(0.1);
  await sleep(seconds);
  const counts = await count(/whip$/.test(name) ? "outbound-rtp" : "inbound-rtp");
  // One of them waits for ever when the session has no Location.
  await Promise.race([stop(), sleep(5)]);
  return counts;
};
