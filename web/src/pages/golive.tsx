/** `/streams/{stream}/live`: camera and microphone, published by WHIP. */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { stream as load, tokenFor } from "../api/keystone";
import { Problem } from "../api/problem";
import { follow, type Rates } from "../rtc/stats";
import { capture, type Publishing, publish, QUALITIES, type Quality } from "../rtc/whip";
import { Copy } from "../ui/copy";
import { Figures } from "../ui/figures";
import { useLoad } from "../ui/load";
import { Refusal } from "../ui/notice";

type Phase = "idle" | "starting" | "live";

const PHASES: Record<Phase, string> = { idle: "Off air", starting: "Starting…", live: "Live" };

export function GoLive({ id }: { id: string }): JSX.Element {
  const { value: stream, problem: unknown } = useLoad(() => load(id), id);
  const [phase, setPhase] = useState<Phase>("idle");
  const [problem, setProblem] = useState<unknown>();
  const [quality, setQuality] = useState<Quality>(QUALITIES[1] as Quality);
  const [rates, setRates] = useState<Rates>();
  const preview = useRef<HTMLVideoElement>(null);
  const media = useRef<MediaStream | undefined>(undefined);
  const publishing = useRef<Publishing | undefined>(undefined);
  /** Counts starts, so that one which was given up does not go live behind the user's back. */
  const turn = useRef(0);

  const stop = (leaving = false) => {
    turn.current++;
    void publishing.current?.stop(leaving);
    publishing.current = undefined;
    for (const track of media.current?.getTracks() ?? []) track.stop();
    media.current = undefined;
    if (preview.current) preview.current.srcObject = null;
    setPhase("idle");
  };
  const fail = (reason: unknown) => {
    stop();
    setProblem(reason);
  };
  const start = async (takeover: boolean) => {
    const mine = ++turn.current;
    setProblem(undefined);
    setRates(undefined);
    setPhase("starting");
    try {
      const captured = await capture(quality);
      if (turn.current !== mine) return captured.getTracks().forEach((track) => void track.stop());
      media.current = captured;
      if (preview.current) preview.current.srcObject = captured;
      const started = await publish(id, captured, quality, await tokenFor(id, "publish"), takeover);
      if (turn.current !== mine) return void started.stop();
      publishing.current = started;
      heed(started.pc, fail, () => setPhase("live"));
    } catch (refused) {
      if (turn.current === mine) fail(refused);
    }
  };
  useEffect(() => {
    const leave = () => stop(true);
    addEventListener("pagehide", leave);
    return () => {
      removeEventListener("pagehide", leave);
      leave();
    };
  }, []);
  useEffect(() => {
    const pc = publishing.current?.pc;
    return phase === "live" && pc ? follow(pc, "outbound-rtp", setRates) : undefined;
  }, [phase]);

  const busy = problem instanceof Problem && problem.code === "stream-busy";
  return (
    <section>
      <p>
        <a href={`/streams/${id}`}>← {stream?.title ?? "Stream"}</a>
      </p>
      <h1>Go live</h1>
      <Refusal problem={unknown} />
      <div class="stage">
        <video ref={preview} autoplay muted playsInline class="mirror" />
        <span class={`lamp on-video ${phase === "live" ? "live" : ""}`} data-phase={phase}>
          {PHASES[phase]}
        </span>
      </div>
      <Refusal problem={problem}>
        {busy && (
          <>
            <p>Somebody is publishing on this stream, perhaps you in another window. Taking over ends them.</p>
            <button type="button" onClick={() => void start(true)}>
              Take over
            </button>
          </>
        )}
      </Refusal>
      <div class="actions">
        {phase === "idle" ? (
          <button type="button" class="primary" onClick={() => void start(false)}>
            Go live
          </button>
        ) : (
          <button type="button" class="danger" onClick={() => stop()}>
            Stop
          </button>
        )}
        <label class="inline">
          Quality
          <select
            name="quality"
            disabled={phase !== "idle"}
            value={quality.label}
            onChange={({ currentTarget }) =>
              setQuality(QUALITIES.find(({ label }) => label === currentTarget.value) ?? quality)
            }
          >
            {QUALITIES.map(({ label }) => (
              <option key={label}>{label}</option>
            ))}
          </select>
        </label>
      </div>
      {phase === "live" && (
        <>
          <Figures rates={rates} verb="sent" />
          <Copy label="Page to watch" value={`${location.origin}/watch/${id}`} />
        </>
      )}
    </section>
  );
}

/** Tells when media flows, and when it no longer can. */
function heed(pc: RTCPeerConnection, fail: (reason: unknown) => void, connected: () => void): void {
  const look = () => {
    if (pc.connectionState === "connected") connected();
    if (pc.connectionState === "failed") {
      fail(
        new Problem(
          0,
          "media-lost",
          "The media connection was lost or never came up. A firewall may block UDP. Go live again to retry.",
        ),
      );
    }
  };
  pc.addEventListener("connectionstatechange", look);
  look();
}
