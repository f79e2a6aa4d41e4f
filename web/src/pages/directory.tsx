/** `/`: public streams that are live now. */
import type { JSX } from "preact";
import { directory } from "../api/keystone";
import { Cards } from "../ui/cards";
import { useLoad } from "../ui/load";
import { Refusal } from "../ui/notice";

const AGAIN_MS = 5000;

export function Directory(): JSX.Element {
  const { value, problem } = useLoad(directory, "directory", AGAIN_MS);
  return (
    <section>
      <h1>Live now</h1>
      <Refusal problem={problem} />
      {value && value.items.length > 0 && <Cards streams={value.items} href={({ id }) => `/watch/${id}`} />}
      {value && value.items.length === 0 && (
        <div class="empty">
          <p>Nobody is live right now. This page looks again by itself.</p>
          <a class="button primary" href="/streams">
            Go live yourself
          </a>
        </div>
      )}
    </section>
  );
}
