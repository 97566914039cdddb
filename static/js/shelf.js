// Adds an uploaded picture to its shelf, as a copy of the shelf's template.

import { form } from "./form.js";

export function choose(name, picture) {
  const shelf = form.querySelector(`[data-shelf="${name}"]`);
  const isThis = (choice) => choice.name === name && choice.value === picture.value;
  const find = () => [...shelf.querySelectorAll("input")].find(isThis);
  if (!find()) shelf.prepend(newItem(name, picture));
  find().checked = true;
}

function newItem(name, { value, title, width, height, thumbnail }) {
  const item = form.querySelector(`[data-template="${name}"]`).content.cloneNode(true);
  const [choice, share] = item.querySelectorAll("input");
  choice.value = value;
  choice.id += value;
  if (share) {
    share.name += value;
    share.id += value;
    item.querySelector('[data-role="title"]').textContent = title;
  }
  for (const label of item.querySelectorAll("label")) label.htmlFor += value;
  Object.assign(item.querySelector("img"), { src: thumbnail, width, height, alt: title });
  return item;
}
