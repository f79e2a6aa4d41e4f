/** Where control-api is, as the browser sees it. Set at build time; no trailing slash. */
export const API_BASE: string = strip(import.meta.env.VITE_API_BASE ?? "/api");

/** Where the edges' WHIP and WHEP endpoints are: `{RTC_BASE}/v1/whip/{stream}`. Another origin only when the pages are hosted apart from them. */
export const RTC_BASE: string = strip(import.meta.env.VITE_RTC_BASE ?? "/rtc");

function strip(base: string): string {
  return base.replace(/\/+$/, "");
}
