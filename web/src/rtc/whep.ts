/** Watching by WHEP. */
import { RTC_BASE } from "../config";
import { type Opened, open } from "./signal";

export interface Watching {
  pc: RTCPeerConnection;
  media: MediaStream;
  stop(leaving?: boolean): Promise<void>;
}

/** Starts one session. Throws a `Problem`; 409 means that nobody publishes yet. */
export async function watch(id: string, token: string | undefined): Promise<Watching> {
  const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  const media = new MediaStream();
  pc.addEventListener("track", ({ track }) => media.addTrack(track));
  pc.addTransceiver("audio", { direction: "recvonly" });
  pc.addTransceiver("video", { direction: "recvonly" });
  try {
    const session: Opened = await open(pc, `${RTC_BASE}/v1/whep/${id}`, token);
    const stop = async (leaving = false): Promise<void> => {
      const ended = session.close(leaving);
      pc.close();
      await ended;
    };
    return { pc, media, stop };
  } catch (problem) {
    pc.close();
    throw problem;
  }
}
