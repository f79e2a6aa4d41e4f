/** `/streams/{stream}/live`: camera, microphone or screen, published by WHIP. */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Problem } from "../../api/problem";
import { type Device, devices, type Source, type Wish } from "../../rtc/devices";
import type { Rates } from "../../rtc/stats";
import { QUALITIES } from "../../rtc/whip";
import { Copy } from "../../ui/copy";
import { Icon } from "../../ui/icons";
import { Note, Refusal } from "../../ui/notice";
import { useOnAir } from "../../ui/onair";
import { Empty, Figure, watchPath } from "../../ui/parts";
import { bitrate, delay } from "../../ui/time";
import { Meter } from "./meter";
import { type Phase, type Publisher, type Shown, usePublisher } from "./publisher";

const PHASES: Record<Phase, string> = {
  off: "Off air",
  opening: "Turning on…",
  idle: "Preview",
  starting: "Going live…",
  live: "Live",
  again: "Reconnecting…",
};

export function GoLive({ id }: { id: string }): JSX.Element {
  const onAir = useOnAir();
  if (onAir === undefined || onAir.stream === id) return <Here id={id} />;
  return (
    <Empty icon="live" title="This window is live on another stream">
      <p>One window publishes one stream. End that one first, or open this page in another window.</p>
      <a class="button" href={`/streams/${onAir.stream}/live`}>
        Go there
      </a>
    </Empty>
  );
}

function Here({ id }: { id: string }): JSX.Element {
  const [publisher, shown] = usePublisher(id);
  const { phase, media, problem, wish } = shown;
  const preview = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    if (preview.current) preview.current.srcObject = media ?? null;
  }, [media]);
  const turnOn = (change: Partial<Wish>) => void publisher.open(change);
  const choose = (change: Partial<Wish>) => (media ? turnOn(change) : publisher.prefer(change));
  const busy = problem instanceof Problem && problem.code === "stream-busy";
  return (
    <div class="golive">
      <div class="stack">
        <div class="stage" data-phase={phase}>
          <video ref={preview} autoplay muted playsInline class={wish.source === "camera" ? "mirror" : undefined} />
          <span class={`lamp on-video ${phase === "live" ? "live" : ""}`} role="status">
            {PHASES[phase]}
          </span>
          {(phase === "off" || phase === "opening") && (
            <Sources phase={phase} onChoose={(source) => turnOn({ source })} />
          )}
        </div>
        <Refusal problem={problem}>
          {busy && (
            <>
              <p>Somebody is publishing on this stream, perhaps you in another window. Taking over ends them.</p>
              <button type="button" onClick={() => publisher.start(true)}>
                Take over
              </button>
            </>
          )}
        </Refusal>
        {phase === "again" && (
          <Note tone="warn">The connection was lost. Going live again by itself; viewers wait.</Note>
        )}
        {media && <Meter media={media} />}
        <Buttons publisher={publisher} shown={shown} />
        {phase === "live" && <Sent rates={shown.rates} />}
        {phase === "live" && <Copy label="Page to watch" value={`${location.origin}${watchPath({ id })}`} />}
      </div>
      <Choices shown={shown} onChange={choose} onQuality={(quality) => publisher.choose(quality)} />
    </div>
  );
}

function Sources({ phase, onChoose }: { phase: Phase; onChoose: (source: Source) => void }): JSX.Element {
  if (phase === "opening") {
    return (
      <div class="curtain" role="status">
        <span class="spinner" />
        <p>Your browser asks whether this page may use it.</p>
      </div>
    );
  }
  return (
    <div class="curtain">
      <p class="big">What do you want to show?</p>
      <p>Nobody sees it before you press “Go live”.</p>
      <div class="actions">
        <button type="button" class="primary" onClick={() => onChoose("camera")}>
          <Icon name="camera" /> Use the camera
        </button>
        <button type="button" class="over" onClick={() => onChoose("screen")}>
          <Icon name="screen" /> Share a screen
        </button>
      </div>
    </div>
  );
}

function Buttons({ publisher, shown: { phase, media } }: { publisher: Publisher; shown: Shown }): JSX.Element | null {
  if (phase === "off" || phase === "opening") return null;
  return (
    <div class="actions">
      {phase === "idle" ? (
        <>
          <button type="button" class="primary big" onClick={() => publisher.start(false)}>
            <Icon name="live" /> Go live
          </button>
          <button type="button" onClick={() => publisher.close()}>
            Turn off
          </button>
        </>
      ) : (
        <button type="button" class="danger big" onClick={() => publisher.stop()}>
          Stop
        </button>
      )}
      {media && <Toggles media={media} />}
    </div>
  );
}

/** Microphone and picture off and on again without a break. */
function Toggles({ media }: { media: MediaStream }): JSX.Element {
  const [, turn] = useState(0);
  const on = (kind: string): boolean => media.getTracks().some((track) => track.kind === kind && track.enabled);
  const toggle = (kind: string) => {
    const next = !on(kind);
    for (const track of media.getTracks()) if (track.kind === kind) track.enabled = next;
    turn((n) => n + 1);
  };
  return (
    <>
      {media.getAudioTracks().length > 0 && (
        <button type="button" aria-pressed={!on("audio")} onClick={() => toggle("audio")}>
          <Icon name="mic" /> {on("audio") ? "Mute" : "Unmute"}
        </button>
      )}
      <button type="button" aria-pressed={!on("video")} onClick={() => toggle("video")}>
        <Icon name="camera" /> {on("video") ? "Hide picture" : "Show picture"}
      </button>
    </>
  );
}

/** Every session begins slowly: readings in a row before a lower quality is worth a word. */
const LIMITED_READINGS = 8;

function Sent({ rates }: { rates: Rates | undefined }): JSX.Element {
  const row = useRef({ at: 0, count: 0 });
  if (rates && rates.at !== row.current.at)
    row.current = { at: rates.at, count: rates.limited === undefined ? 0 : row.current.count + 1 };
  return (
    <>
      {rates?.limited !== undefined && row.current.count >= LIMITED_READINGS && (
        <Note tone="warn">
          {rates.limited === "cpu"
            ? "This computer is too busy to send full quality. Choose a lower one, or close other programs."
            : "Your connection does not carry full quality. It is sent as well as goes; a lower quality runs more evenly."}
        </Note>
      )}
      <dl class="figures">
        <Figure id="frames" label="Frames sent" value={rates?.frames ?? 0} />
        <Figure id="fps" label="Frames a second" value={rates?.fps ?? 0} />
        <Figure id="kbps" label="Bitrate" value={bitrate(rates?.kbps ?? 0)} />
        <Figure id="size" label="Picture" value={rates?.width ? `${rates.width} × ${rates.height}` : "–"} />
        <Figure id="rtt" label="Round trip" value={rates?.rtt === undefined ? "–" : delay(rates.rtt)} />
      </dl>
    </>
  );
}

function Choices({
  shown: { phase, media, wish },
  onChange,
  onQuality,
}: {
  shown: Shown;
  onChange: (change: Partial<Wish>) => void;
  onQuality: Publisher["choose"];
}): JSX.Element {
  const [known, setKnown] = useState<{ cameras: Device[]; microphones: Device[] }>({ cameras: [], microphones: [] });
  useEffect(() => {
    const look = () => void devices().then(setKnown);
    look();
    navigator.mediaDevices?.addEventListener?.("devicechange", look);
    return () => navigator.mediaDevices?.removeEventListener?.("devicechange", look);
  }, [media]);
  const on = phase !== "off" && phase !== "opening";
  return (
    <aside class="panel choices">
      <h2>Source</h2>
      {on && (
        <div class="actions">
          <button
            type="button"
            class="small"
            onClick={() => onChange({ source: wish.source === "camera" ? "screen" : "camera" })}
          >
            <Icon name={wish.source === "camera" ? "screen" : "camera"} />
            {wish.source === "camera" ? "Share a screen instead" : "Use the camera instead"}
          </button>
        </div>
      )}
      <Choice
        label="Camera"
        devices={known.cameras}
        value={wish.camera}
        disabled={phase === "opening" || (on && wish.source !== "camera")}
        onChoose={(camera) => onChange({ camera })}
      />
      <Choice
        label="Microphone"
        none={wish.source === "screen" ? "The screen's own sound, if it has any" : undefined}
        devices={known.microphones}
        value={wish.microphone}
        disabled={phase === "opening"}
        onChoose={(microphone) => onChange({ microphone })}
      />
      <label>
        Quality
        <select
          name="quality"
          disabled={phase === "live" || phase === "starting" || phase === "again"}
          value={wish.quality.label}
          onChange={({ currentTarget }) =>
            onQuality(QUALITIES.find(({ label }) => label === currentTarget.value) ?? wish.quality)
          }
        >
          {QUALITIES.map(({ label, bitrate: most }) => (
            <option key={label} value={label}>
              {label}, up to {bitrate(most / 1000)}
            </option>
          ))}
        </select>
      </label>
    </aside>
  );
}

function Choice({
  label,
  devices: all,
  value,
  disabled,
  none = "The browser's choice",
  onChoose,
}: {
  label: string;
  none?: string | undefined;
  devices: Device[];
  value: string;
  disabled: boolean;
  onChoose: (id: string) => void;
}): JSX.Element {
  return (
    <label>
      {label}
      <select value={value} disabled={disabled} onChange={({ currentTarget }) => onChoose(currentTarget.value)}>
        <option value="">{none}</option>
        {all.map((device) => (
          <option key={device.id} value={device.id}>
            {device.label}
          </option>
        ))}
      </select>
    </label>
  );
}
