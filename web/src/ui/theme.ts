/** Dark, light, or as the system says. What is kept in the browser is this word only. */
export type Theme = "auto" | "light" | "dark";

const KEY = "keystone.theme";
const NEXT: Record<Theme, Theme> = { auto: "light", light: "dark", dark: "auto" };

export function theme(): Theme {
  const kept = localStorage.getItem(KEY);
  return kept === "light" || kept === "dark" ? kept : "auto";
}

export function apply(chosen: Theme): void {
  if (chosen === "auto") localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, chosen);
  document.documentElement.dataset.theme = chosen;
}

export const next = (now: Theme): Theme => NEXT[now];
