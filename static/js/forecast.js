// Asks the server how long a painting of the chosen settings takes.

import { byRole, chosen, form, imageOf, sizeOf } from "./form.js";

// Time without a change before the server is asked.
const REST_MS = 300;
// The forecast needs the photo's size and the number of styles, but not the pictures.
const UNUSED_FIELDS = /^(csrf_token|idempotency_key|content|content_file|styles|style_files|share:.*)$/;
const USUAL_SIZE = [3, 2];

let timer = 0;

export function askForecast() {
  clearTimeout(timer);
  timer = setTimeout(showForecast, REST_MS);
}

async function showForecast() {
  try {
    const answer = await fetch(`${form.dataset.forecast}?${question()}`, {
      headers: { Accept: "application/json" },
    });
    if (answer.ok) byRole("forecast").textContent = (await answer.json()).text;
  } catch {
    // Without an answer the last forecast stays.
  }
}

function question() {
  const settings = [...new FormData(form)].filter(([name]) => !UNUSED_FIELDS.test(name));
  const [content] = chosen("content");
  const [width, height] = content ? sizeOf(imageOf(content)) : USUAL_SIZE;
  const styles = Math.max(1, chosen("styles").length);
  return new URLSearchParams([...settings, ["width", width], ["height", height], ["styles", styles]]);
}
