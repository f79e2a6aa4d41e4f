/** `/embed/{stream}`: the player alone, for other sites' frames. Nobody is signed in here: other sites' pages get no cookie of ours. */
import { render } from "preact";
import { useRef, useState } from "preact/hooks";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/embed.css";
import { givenToken } from "./play/given";
import { Stage } from "./play/stage";
import { type Choice, usePlayer } from "./play/use-player";

const id = /^\/embed\/([A-Za-z0-9_-]{1,64})\/?$/.exec(location.pathname)?.[1];

function Embedded({ id }: { id: string }) {
  const video = useRef<HTMLVideoElement>(null);
  const [choice, setChoice] = useState<Choice>("auto");
  const [turn, setTurn] = useState(0);
  const playing = usePlayer(video, { id, choice, ready: true, turn, token: async () => givenToken() });
  return (
    <main class="embed">
      <h1 class="sr">Live stream</h1>
      <Stage video={video} playing={playing} again={() => setTurn(turn + 1)} byHls={() => setChoice("hls")}>
        <a class="button over" href={`/watch/${id}${location.hash}`} target="_blank" rel="noopener">
          Open on Keystone
        </a>
      </Stage>
    </main>
  );
}

document.documentElement.dataset.theme = "dark";
render(
  id === undefined ? <p class="curtain">This address names no stream.</p> : <Embedded id={id} />,
  document.getElementById("app") as HTMLElement,
);
