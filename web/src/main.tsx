import { QueryClientProvider } from "@tanstack/preact-query";
import { render } from "preact";
import { client } from "./api/keystone";
import { queries } from "./api/queries";
import { App } from "./app";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/pages.css";
import { apply, theme } from "./ui/theme";

apply(theme());
void client.start();
render(
  <QueryClientProvider client={queries}>
    <App />
  </QueryClientProvider>,
  document.getElementById("app") as HTMLElement,
);
