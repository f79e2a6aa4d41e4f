import { render } from "preact";
import { client } from "./api/keystone";
import { App } from "./app";
import "./style.css";

void client.start();
const root = document.getElementById("app");
if (root) render(<App />, root);
