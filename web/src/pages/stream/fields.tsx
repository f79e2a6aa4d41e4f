/** What a stream is made and changed with: its title, and who may watch. */
import type { JSX } from "preact";
import type { Visibility } from "../../api/types";
import { VISIBILITIES } from "../../ui/parts";

/** The two fields of a form; `title` and `visibility` are what they begin with. */
export function StreamFields({
  title,
  visibility,
  placeholder,
}: {
  title?: string;
  visibility: Visibility;
  placeholder?: string;
}): JSX.Element {
  return (
    <>
      <label>
        Title
        <input
          name="title"
          required
          maxLength={120}
          pattern=".*\S.*"
          title="Something to call it by"
          placeholder={placeholder}
          defaultValue={title}
        />
      </label>
      <fieldset>
        <legend>Who may watch</legend>
        {VISIBILITIES.map(({ value, label, means }) => (
          <label key={value} class="choice">
            <input type="radio" name="visibility" value={value} defaultChecked={value === visibility} />
            <span>
              <strong>{label}</strong>
              <span class="soft">{means}</span>
            </span>
          </label>
        ))}
      </fieldset>
    </>
  );
}

/** What such a form says. */
export function fieldsOf(event: SubmitEvent): { title: string; visibility: Visibility } {
  const data = new FormData(event.currentTarget as HTMLFormElement);
  return { title: String(data.get("title") ?? "").trim(), visibility: String(data.get("visibility")) as Visibility };
}
