/** `/streams/{stream}/live`: camera and microphone, published by WHIP. */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { stream as load, tokenFor } from "../api/keystone";
import { Problem } from "../api/problem";
import { type Keeper, keep } from "../rtc/keeper";
import { follow, type Rates } from "../rtc/stats";
import { capture, type Publishing, publish, QUALITIES, type Quality } from "../rtc/whip";
import { Copy } from "../ui/copy";
import { Figures } from "../ui/figures";
import { useLoad } from "../ui/load";
import { Refusal } from "../ui/notice";

type Phase = "idle" | "starting" | "live" | "again";

const PHASES: Record<Phase, string> = { idle: "Off air", starting: "Starting…", live: "Live", again: "Reconnecting…" };

export function GoLive({ id }: { id: string }): JSX.Element {
  const { value: stream, problem: unknown } = useLoad(() => load(id), id);
  const [phase, setPhase] = useState<Phase>("idle");
  const [problem, setProblem] = useState<unknown>();
  const [quality, setQuality] = useState<Quality>(QUALITIES[1] as Quality);
  const [rates, setRates] = useState<Rates>();
  const preview = useRef<HTMLVideoElement>(null);
  const media = useRef<MediaStream | undefined>(undefined);
  const keeper = useRef<Keeper | undefined>(undefined);
  const [publishing, setPublishing] = useState<Publishing>();
  /** Counts starts, so that one which was given up does not go live behind the user's back. */
  const turn = useRef(0);

  const stop = (leaving = false) => {
    turn.current++;
    keeper.current?.stop(leaving);
    keeper.current = undefined;
    setPublishing(undefined);
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
      const once = async () => publish(id, captured, quality, await tokenFor(id, "publish"), takeover && !wasLive);
      let wasLive = false;
      keeper.current = keep(once, (now) => {
        if (turn.current !== mine) return;
        wasLive ||= now.state === "live";
        if (now.state === "failed") return fail(now.problem);
        setPublishing(now.state === "live" ? now.publishing : undefined);
        setPhase(now.state);
      });
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
  useEffect(() => (publishing ? follow(publishing.pc, "outbound-rtp", setRates) : undefined), [publishing]);

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
