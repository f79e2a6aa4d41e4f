/** Times, spans and amounts as people read them. */

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;

/** `1 h 05 min`, `12 min`, `42 s`. */
export function span(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < MINUTE) return `${whole} s`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)} min`;
  if (whole < DAY)
    return `${Math.floor(whole / HOUR)} h ${String(Math.floor((whole % HOUR) / MINUTE)).padStart(2, "0")} min`;
  return `${Math.floor(whole / DAY)} d ${Math.floor((whole % DAY) / HOUR)} h`;
}

/** Seconds between two times; to now without the second. */
export function between(from: string, to: string | null | undefined, now = Date.now()): number {
  return (((to ? Date.parse(to) : now) || now) - Date.parse(from)) / 1000;
}

/** `3 min ago`. */
export function ago(at: string | number, now = Date.now()): string {
  const seconds = (now - (typeof at === "number" ? at : Date.parse(at))) / 1000;
  return seconds < 5 ? "just now" : `${span(seconds)} ago`;
}

/** A day and a time of the reader's. */
export function day(at: string): string {
  return new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" }).format(new Date(at));
}

export function clock(at: number): string {
  return new Intl.DateTimeFormat(undefined, { timeStyle: "medium" }).format(at);
}

/** `850 kbit/s`, `2.4 Mbit/s`. */
export function bitrate(kbps: number): string {
  return kbps < 1000 ? `${Math.round(kbps)} kbit/s` : `${(kbps / 1000).toFixed(kbps < 10_000 ? 1 : 0)} Mbit/s`;
}

/** `240 ms`, `4.2 s`. */
export function delay(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** `1 viewer`, `2 viewers`. */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}
