// Shows the chosen pictures on the easel, and the size of the painting to be.

import { byRole, chosen, form, imageOf, sizeOf } from "./form.js";

const mountOf = (slot) => form.querySelector(`[data-slot="${slot}"] .mount`);

export function showEasel() {
  const [content] = chosen("content").map(imageOf);
  const styles = chosen("styles").map(imageOf);
  mountOf("content").replaceChildren(...(content ? [copyOf(content)] : []));
  mountOf("styles").replaceChildren(...styles.map(copyOf));
  mountOf("styles").dataset.count = String(styles.length);
  form.querySelector('[data-shelf="styles"]').dataset.chosen = String(styles.length);
  showResult(content);
}

function copyOf(image) {
  const copy = image.cloneNode();
  copy.loading = "eager";
  return copy;
}

function showResult(content) {
  const canvases = [];
  let caption = "Your painting";
  if (content) {
    const [width, height] = sizeOf(content);
    const scale = Number(form.elements.long_edge_px.value) / Math.max(width, height);
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvases.push(canvas);
    caption = `Your painting, ${canvas.width} × ${canvas.height} px`;
  }
  mountOf("result").replaceChildren(...canvases);
  byRole("result-caption").textContent = caption;
}
