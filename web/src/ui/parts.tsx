/** Small parts that every page is put together from. */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Stream, Visibility } from "../api/types";
import { Icon, type IconName } from "./icons";
import { ago } from "./time";

/** Page head: a title, what belongs beside it, and a way back. */
export function Head({
  title,
  back,
  children,
  lead,
}: {
  title: ComponentChildren;
  back?: { href: string; label: string };
  children?: ComponentChildren;
  lead?: ComponentChildren;
}): JSX.Element {
  return (
    <div class="head">
      {back && (
        <a class="back" href={back.href}>
          <Icon name="back" /> {back.label}
        </a>
      )}
      <div class="head-row">
        <h1 tabIndex={-1}>{title}</h1>
        {children && <div class="actions">{children}</div>}
      </div>
      {lead && <p class="lead">{lead}</p>}
    </div>
  );
}

/** What stands where a list would, while there is nothing in it: why, and what to do. */
export function Empty({
  icon,
  title,
  children,
}: {
  icon: IconName;
  title: string;
  children?: ComponentChildren;
}): JSX.Element {
  return (
    <div class="empty">
      <span class="empty-icon">
        <Icon name={icon} />
      </span>
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** Grey shapes in place of what is on its way. */
export function Waiting({ rows = 3, what = "Loading" }: { rows?: number; what?: string }): JSX.Element {
  return (
    <div class="waiting" role="status">
      <span class="sr">{what}…</span>
      {Array.from({ length: rows }, (_, index) => (
        <div key={index} class="bone" />
      ))}
    </div>
  );
}

/** Whether a stream is on. */
export function Lamp({ on, label }: { on: boolean; label?: string }): JSX.Element {
  return <span class={on ? "lamp live" : "lamp"}>{label ?? (on ? "Live" : "Off air")}</span>;
}

const VISIBILITY: Record<Visibility, { label: string; means: string }> = {
  public: { label: "Public", means: "Anybody can watch; it is listed while live." },
  unlisted: { label: "Unlisted", means: "Anybody who has the link can watch." },
  private: { label: "Private", means: "You can watch, and whoever you give a share link." },
};
export const VISIBILITIES = Object.entries(VISIBILITY).map(([value, words]) => ({
  value: value as Visibility,
  ...words,
}));

export function VisibilityTag({ of }: { of: Visibility }): JSX.Element {
  return (
    <span class="tag" title={VISIBILITY[of].means}>
      {VISIBILITY[of].label}
    </span>
  );
}

/** How often a time that goes by is written anew, ms. */
const TICK_MS = 5_000;

/** Words that time alone changes, as in "3 min ago": what is read from the server stays the same meanwhile. */
export function Ticking({ text }: { text: () => string }): JSX.Element {
  const [, turn] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => turn((n) => n + 1), TICK_MS);
    return () => clearInterval(timer);
  }, []);
  return <>{text()}</>;
}

/** How long ago a broadcast began. */
export function Since({ of }: { of: { since: string } }): JSX.Element {
  return <Ticking text={() => ago(of.since)} />;
}

/** A tag whose colour says how well something is. */
export function State({ is, tone }: { is: string; tone: "good" | "warn" | "bad" | "plain" }): JSX.Element {
  return <span class={`tag ${tone}`}>{is}</span>;
}

/** One number that people look for, with its name. */
export function Figure({
  label,
  value,
  id,
  unit,
}: {
  label: string;
  value: ComponentChildren;
  id?: string;
  unit?: string;
}): JSX.Element {
  return (
    <div class="figure">
      <dt>{label}</dt>
      <dd data-figure={id}>
        {value}
        {unit !== undefined && <small> {unit}</small>}
      </dd>
    </div>
  );
}

/** A part of a share that can be seen, 0 to 1. */
export function Bar({ share, label, tone = "" }: { share: number; label: string; tone?: string }): JSX.Element {
  const part = Math.max(0, Math.min(1, share));
  return (
    <div class="barline" role="img" aria-label={label}>
      <svg viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">
        <rect class={`fill ${tone}`} width={part * 100} height="1" />
      </svg>
    </div>
  );
}

/** Where a stream's picture is looked at. */
export const watchPath = ({ id }: Pick<Stream, "id">): string => `/watch/${id}`;

/** Ways through one thing's pages. */
export function Tabs({ label, tabs, now }: { label: string; tabs: [string, string][]; now: string }): JSX.Element {
  const nav = useRef<HTMLElement>(null);
  // Where they do not all fit, the one that is looked at is among those that are seen.
  useEffect(() => {
    const all = nav.current;
    if (!all) return;
    const sizes = new ResizeObserver(() => {
      const tab = all.querySelector<HTMLElement>("[aria-current]");
      if (tab) all.scrollLeft = tab.offsetLeft - (all.clientWidth - tab.offsetWidth) / 2;
    });
    sizes.observe(all);
    return () => sizes.disconnect();
  }, [now]);
  return (
    <nav ref={nav} class="tabs" aria-label={label}>
      {tabs.map(([href, text]) => (
        <a key={href} href={href} aria-current={href === now ? "page" : undefined}>
          {text}
        </a>
      ))}
    </nav>
  );
}

/** Something that may be wider than the page. It scrolls, which a keyboard must be able to do too. */
export function Scroll({
  label,
  panel = false,
  children,
}: {
  label: string;
  panel?: boolean;
  children: ComponentChildren;
}): JSX.Element {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls
    <section class={panel ? "scroll panel" : "scroll"} tabIndex={0} aria-label={label}>
      {children}
    </section>
  );
}

/** A button that goes on with a list. */
export function More({
  query,
}: {
  query: { hasNextPage: boolean; isFetchingNextPage: boolean; fetchNextPage: () => unknown };
}): JSX.Element | null {
  if (!query.hasNextPage) return null;
  return (
    <p class="more">
      <button type="button" onClick={() => void query.fetchNextPage()} disabled={query.isFetchingNextPage}>
        {query.isFetchingNextPage ? "Loading…" : "Show more"}
      </button>
    </p>
  );
}
