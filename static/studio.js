// Enhances the studio: pictures go up as they are chosen, dropped or pasted, and the easel shows
// what will come of them. Without this, the form sends everything at once.

const form = document.querySelector("form.studio");
const byRole = (role) => form.querySelector(`[data-role="${role}"]`);
const slots = {
  content: form.querySelector('[data-slot="content"] .mount'),
  styles: form.querySelector('[data-slot="styles"] .mount'),
  result: form.querySelector('[data-slot="result"] .mount'),
};
const maxStyles = Number(form.dataset.maxStyles);

const checked = (name) => [...form.querySelectorAll(`input[name="${name}"]:checked`)];

function picture(source, width, height, alt) {
  const image = new Image(width, height);
  image.src = source;
  image.alt = alt;
  return image;
}

function showEasel() {
  const [content] = checked("content");
  const styles = checked("styles");
  const draw = (input) =>
    picture(input.dataset.full, Number(input.dataset.width), Number(input.dataset.height), input.dataset.title);
  slots.content.replaceChildren(...(content ? [draw(content)] : []));
  slots.styles.replaceChildren(...styles.map(draw));
  slots.styles.dataset.count = String(styles.length);
  form.querySelector('[data-shelf="styles"]').dataset.chosen = String(styles.length);
  slots.result.replaceChildren();
  let caption = "Your painting";
  if (content) {
    const width = Number(content.dataset.width);
    const height = Number(content.dataset.height);
    const scale = Number(form.elements.long_edge_px.value) / Math.max(width, height);
    const size = [Math.round(width * scale), Math.round(height * scale)];
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = size;
    slots.result.replaceChildren(canvas);
    caption = `Your painting, ${size[0]} × ${size[1]} px`;
  }
  byRole("result-caption").textContent = caption;
  showForecast(content, styles.length);
}

let forecastTimer = 0;
function showForecast(content, styles) {
  clearTimeout(forecastTimer);
  // Sliders fire often; one question after they rest is enough.
  forecastTimer = setTimeout(async () => {
    const asked = new URLSearchParams({
      width: content?.dataset.width ?? 3,
      height: content?.dataset.height ?? 2,
      styles: Math.max(1, styles),
    });
    for (const name of ["long_edge_px", "strength", "effort", "colors", "backbone", "seed", "brush", "smoothness", "start"]) {
      asked.set(name, form.elements[name].value);
    }
    try {
      const answer = await fetch(`${form.dataset.forecast}?${asked}`, {
        headers: { Accept: "application/json" },
      });
      if (answer.ok) byRole("forecast").textContent = (await answer.json()).text;
    } catch {
      // Without an answer the last forecast stays.
    }
  }, 300);
}

function showError(role, sentence) {
  const place = form.querySelector(`[data-error="${role}"]`);
  place.textContent = sentence;
  place.hidden = !sentence;
  // What the server said of the last order is settled by the next choice.
  document.getElementById(role === "content" ? "content-error" : "styles-error")?.remove();
}

function shareOf(data) {
  const share = document.createElement("span");
  share.className = "share";
  const label = document.createElement("label");
  label.htmlFor = `share-${data.value}`;
  const whose = document.createElement("span");
  whose.className = "hidden";
  whose.textContent = ` of ${data.title}`;
  label.append("How much", whose);
  const slider = document.createElement("input");
  Object.assign(slider, { type: "range", min: 0, max: 100, step: 5, id: label.htmlFor, name: `share:${data.value}` });
  slider.value = 50;
  share.append(label, slider);
  return share;
}

function addChoice(role, data) {
  const name = role === "content" ? "content" : "styles";
  const shelf = form.querySelector(`[data-shelf="${name}"]`);
  let input = shelf.querySelector(`input[value="${CSS.escape(data.value)}"]`);
  if (!input) {
    const item = document.createElement("li");
    item.className = "choice";
    input = document.createElement("input");
    input.type = role === "content" ? "radio" : "checkbox";
    input.name = name;
    input.value = data.value;
    input.id = `${name}-${data.value}`;
    Object.assign(input.dataset, {
      full: data.thumbnail, width: data.width, height: data.height, title: data.title,
    });
    const label = document.createElement("label");
    label.htmlFor = input.id;
    label.append(picture(data.thumbnail, data.width, data.height, data.title));
    item.append(input, label);
    if (role === "style") item.append(shareOf(data));
    shelf.prepend(item);
  }
  input.checked = true;
}

function send(role, file) {
  const bar = form.querySelector(`[data-progress="${role}"]`);
  const body = new FormData();
  body.append("csrf_token", form.elements.csrf_token.value);
  body.append("role", role);
  body.append("file", file);
  return new Promise((resolve) => {
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
      const failed = "The upload broke off. Check the connection and try again.";
      if (request.status === 200) resolve({ data: request.response });
      else if (request.status === 401) resolve({ error: "You were logged out. Reload the page and log in." });
      else resolve({ error: request.response?.error ?? failed });
    };
    request.send(body);
  });
}

async function upload(role, files) {
  showError(role, "");
  const list = role === "content" ? [...files].slice(0, 1) : [...files].slice(0, maxStyles);
  if (role === "style" && list.length && checked("styles").length + list.length > maxStyles) {
    for (const input of checked("styles")) input.checked = false;
  }
  const troubles = [];
  for (const file of list) {
    const { data, error } = await send(role, file);
    if (error) troubles.push(list.length > 1 ? `${file.name}: ${error}` : error);
    else addChoice(role, data);
  }
  showError(role, troubles.join(" "));
  showEasel();
}

for (const [id, role] of [["content_file", "content"], ["style_files", "style"]]) {
  const input = document.getElementById(id);
  const uploadChosen = async () => {
    // Taken before the field is emptied: what went up must not be sent a second time.
    const files = [...input.files];
    if (!files.length) return;
    input.value = "";
    await upload(role, files);
  };
  input.addEventListener("change", uploadChosen);
  // On a slow line somebody may have chosen before this script was there.
  uploadChosen();
}

for (const zone of form.querySelectorAll("[data-drop]")) {
  const fieldset = zone.closest("fieldset");
  const isFiles = (event) => [...event.dataTransfer.types].includes("Files");
  fieldset.addEventListener("dragover", (event) => {
    if (!isFiles(event)) return;
    event.preventDefault();
    fieldset.classList.add("over");
  });
  fieldset.addEventListener("dragleave", () => fieldset.classList.remove("over"));
  fieldset.addEventListener("drop", (event) => {
    if (!isFiles(event)) return;
    event.preventDefault();
    fieldset.classList.remove("over");
    upload(zone.dataset.drop, event.dataTransfer.files);
  });
}

document.addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  if (!files.length) return;
  event.preventDefault();
  upload(checked("content").length ? "style" : "content", files);
});

form.addEventListener("change", (event) => {
  if (event.target.name === "styles" && checked("styles").length > maxStyles) {
    event.target.checked = false;
    showError("style", `Choose at most ${maxStyles} style pictures.`);
  } else if (event.target.name === "styles" || event.target.name === "content") {
    showError(event.target.name === "styles" ? "style" : "content", "");
  }
  showEasel();
});

form.addEventListener("submit", () => {
  const button = byRole("submit");
  button.disabled = true;
  button.textContent = "Sending…";
});
// Coming back by the Back button must not find a dead button.
window.addEventListener("pageshow", () => {
  const button = byRole("submit");
  button.disabled = false;
  button.textContent = "Paint it";
  showEasel();
});

showEasel();
