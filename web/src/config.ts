/** Where control-api is, as the browser sees it. Set at build time; no trailing slash. */
export const API_BASE: string = strip(import.meta.env.VITE_API_BASE ?? "/api");

/** Where the edges' WHIP and WHEP endpoints are: `{RTC_BASE}/v1/whip/{stream}`. Another origin only when the pages are hosted apart from them. */
export const RTC_BASE: string = strip(import.meta.env.VITE_RTC_BASE ?? "/rtc");

/** Where the edges' playlists and pictures are: `{LIVE_BASE}/{stream}.m3u8`, `.jpg`. */
export const LIVE_BASE: string = strip(import.meta.env.VITE_LIVE_BASE ?? "/live");

function strip(base: string): string {
  return base.replace(/\/+$/, "");
}
