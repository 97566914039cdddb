// Uploads pictures one by one, and selects them.

import { chosen, form, maxStyles, showError } from "./form.js";
import { choose } from "./shelf.js";

const INTERRUPTED = "The upload broke off. Check the connection and try again.";
const LOGGED_OUT = "You were logged out. Reload the page and log in.";

export async function upload(name, files) {
  showError(name, "");
  const list = [...files].slice(0, name === "content" ? 1 : maxStyles);
  if (name === "styles" && list.length && chosen(name).length + list.length > maxStyles) {
    for (const choice of chosen(name)) choice.checked = false;
  }
  const errors = [];
  for (const file of list) {
    const { picture, error } = await send(name, file);
    if (error) errors.push(list.length > 1 ? `${file.name}: ${error}` : error);
    else choose(name, picture);
  }
  showError(name, errors.join(" "));
  form.dispatchEvent(new Event("change"));
}

function send(name, file) {
  const bar = form.querySelector(`[data-progress="${name}"]`);
  const body = new FormData();
  body.append("csrf_token", form.elements.csrf_token.value);
  body.append("role", name === "content" ? "content" : "style");
  body.append("file", file);
  return new Promise((resolve) => {
    // fetch() does not report the progress of an upload.
    const request = new XMLHttpRequest();
    request.open("POST", form.dataset.upload);
    request.setRequestHeader("Accept", "application/json");
    request.responseType = "json";
    request.upload.onprogress = (event) => {
      bar.hidden = false;
      bar.value = event.loaded / event.total;
    };
    request.onloadend = () => {
      bar.hidden = true;
      if (request.status === 200) resolve({ picture: request.response });
      else if (request.status === 401) resolve({ error: LOGGED_OUT });
      else resolve({ error: request.response?.error ?? INTERRUPTED });
    };
    request.send(body);
  });
}
