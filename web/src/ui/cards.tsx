import type { JSX } from "preact";
import type { Stream } from "../api/types";

/** Streams as a list of links. */
export function Cards({ streams, href }: { streams: Stream[]; href: (stream: Stream) => string }): JSX.Element {
  return (
    <ul class="cards">
      {streams.map((stream) => (
        <li key={stream.id}>
          <a class="card" href={href(stream)}>
            <span class="title">{stream.title}</span>
            <span class="meta">
              <Lamp stream={stream} />
              {stream.live ? `${stream.live.viewers} watching` : stream.visibility}
              {" · "}
              {stream.owner_name}
            </span>
          </a>
        </li>
      ))}
    </ul>
  );
}

export function Lamp({ stream }: { stream: Stream }): JSX.Element {
  return stream.live ? <span class="lamp live">Live</span> : <span class="lamp">Off air</span>;
}
