import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Problem } from "../src/api/problem";
import { capture, type On, stopAll, type Wish } from "../src/rtc/devices";

/** As much of a browser's devices as `capture` asks for. */
class Track {
  readyState = "live";
  constructor(
    readonly kind: string,
    readonly label: string,
  ) {}
  stop() {
    this.readyState = "ended";
  }
}
class Media {
  constructor(readonly tracks: Track[]) {}
  getTracks = () => this.tracks;
  getAudioTracks = () => this.tracks.filter(({ kind }) => kind === "audio");
  addTrack = (track: Track) => this.tracks.push(track);
}

const WISH: Wish = {
  source: "camera",
  quality: { label: "360p", height: 360, bitrate: 1 },
  camera: "",
  microphone: "",
};
type Asked = { video?: { deviceId?: { exact: string } }; audio?: boolean | { deviceId?: { exact: string } } };

let asked: string[];
let microphones: boolean;
let screenSound: boolean;

const named = (kind: string, of: unknown): string =>
  `${kind} ${(of as { deviceId?: { exact: string } }).deviceId?.exact ?? "any"}`;

beforeEach(() => {
  asked = [];
  microphones = true;
  screenSound = false;
  vi.stubGlobal("MediaStream", Media);
  vi.stubGlobal("navigator", {
    mediaDevices: {
      getUserMedia: async ({ video, audio }: Asked) => {
        if (audio && !microphones) throw new DOMException("none", "NotFoundError");
        const tracks = [];
        if (video) tracks.push(new Track("video", named("camera", video)));
        if (audio) tracks.push(new Track("audio", named("microphone", audio)));
        asked.push(tracks.map(({ label }) => label).join(", "));
        return new Media(tracks);
      },
      getDisplayMedia: async ({ audio }: Asked) => {
        asked.push("screen");
        const sound = audio && screenSound ? [new Track("audio", "screen's own")] : [];
        return new Media([new Track("video", "screen"), ...sound]);
      },
    },
  });
});
afterEach(() => vi.unstubAllGlobals());

/** Changes what is on, as the page does; answers what is on then, in words. */
async function turn(on: On | undefined, change: Partial<Wish>): Promise<On & { is: string[] }> {
  const wish = { ...(on?.wish ?? WISH), ...change };
  const media = await capture(wish, on);
  stopAll(on?.media, media);
  const live = media.getTracks().filter(({ readyState }) => readyState === "live");
  return { wish, media, is: live.map(({ label }) => label) };
}

test("only what changes is asked for again", async () => {
  const first = await turn(undefined, {});
  const second = await turn(first, { camera: "front" });
  const third = await turn(second, { microphone: "desk" });
  expect(third.is).toEqual(["camera front", "microphone desk"]);
  expect(asked).toEqual(["camera any, microphone any", "camera front", "microphone desk"]);
});

test("another microphone does not ask for the screen again, and going back to its own sound does", async () => {
  screenSound = true;
  const shared = await turn(undefined, { source: "screen" });
  expect(shared.is).toEqual(["screen", "screen's own"]);
  const spoken = await turn(shared, { microphone: "desk" });
  expect(spoken.is).toEqual(["screen", "microphone desk"]);
  expect(asked).toEqual(["screen", "microphone desk"]);
  expect((await turn(spoken, { microphone: "" })).is).toEqual(["screen", "screen's own"]);
});

test("a screen without sound comes with a microphone, if there is one", async () => {
  expect((await turn(undefined, { source: "screen" })).is).toEqual(["screen", "microphone any"]);
  microphones = false;
  expect((await turn(undefined, { source: "screen" })).is).toEqual(["screen"]);
});

test("a camera without a microphone has a picture all the same", async () => {
  microphones = false;
  expect((await turn(undefined, {})).is).toEqual(["camera any"]);
});

test("a chosen microphone that is gone is said, and the screen is let go", async () => {
  microphones = false;
  const shared = vi.spyOn(Track.prototype, "stop");
  await expect(capture({ ...WISH, source: "screen", microphone: "desk" })).rejects.toThrow(/No camera or microphone/);
  expect(shared).toHaveBeenCalledOnce();
});

test("a closed dialog is no blocked camera", async () => {
  navigator.mediaDevices.getDisplayMedia = async () => {
    throw new DOMException("denied", "NotAllowedError");
  };
  const refused = await capture({ ...WISH, source: "screen" }).catch((problem: Problem) => problem);
  expect((refused as Problem).code).toBe("no-screen");
});
