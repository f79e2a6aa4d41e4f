/** Ready settings for programs that publish. */
import { useQuery } from "@tanstack/preact-query";
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { ingest } from "../../api/queries";
import type { Stream } from "../../api/types";
import { Copy } from "../../ui/copy";
import { lazy } from "../../ui/lazy";
import { Note, Refusal } from "../../ui/notice";
import { Waiting } from "../../ui/parts";
import { useKey } from "./keys";
import { type Recipe, recipes } from "./recipes";

const Qr = lazy(() => import("../../ui/qr").then((module) => module.Qr));

export function Encoder({ stream }: { stream: Stream }): JSX.Element {
  const { data, error, refetch } = useQuery(ingest(stream.id));
  const key = useKey(stream.id);
  const [chosen, setChosen] = useState("obs-whip");
  if (data === undefined)
    return error ? <Refusal problem={error} again={() => void refetch()} /> : <Waiting what="Loading addresses" />;
  const all = recipes(data, stream.title, key);
  const recipe = all.find(({ id }) => id === chosen) ?? (all[0] as Recipe);
  return (
    <div class="stack">
      {key === undefined && (
        <Note>
          <p>
            The key was shown when it was made and cannot be shown again. Put yours where <code>YOUR_STREAM_KEY</code>{" "}
            stands, or <a href={`/streams/${stream.id}/settings`}>make a new key</a>, and these settings are ready to
            paste.
          </p>
        </Note>
      )}
      <fieldset class="segments">
        <legend class="sr">Program</legend>
        {all.map(({ id, name }) => (
          <label key={id}>
            <input type="radio" name="program" value={id} checked={id === recipe.id} onChange={() => setChosen(id)} />
            <span>{name}</span>
          </label>
        ))}
      </fieldset>
      <div class="panel recipe">
        <div class="stack">
          <ol>
            {recipe.steps.map((step) => (
              <li key={step}>{step}</li>
            ))}
          </ol>
          {recipe.fields.map((field) => (
            <Copy key={`${recipe.id} ${field.label}`} {...field} />
          ))}
        </div>
        {recipe.qr &&
          (key === undefined ? (
            <p class="soft qr-none">Make a new key in Settings, and a code to scan appears here.</p>
          ) : (
            <Qr text={recipe.qr.text} label={recipe.qr.label} />
          ))}
      </div>
    </div>
  );
}
