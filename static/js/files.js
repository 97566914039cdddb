// Uploads the files that are chosen, dropped or pasted in the studio.

import { chosen, form } from "./form.js";
import { upload } from "./upload.js";

export function takeChosenFiles(input, name) {
  const takeFiles = () => {
    // Copied before the field is emptied, so that the form does not send the files again.
    const files = [...input.files];
    if (!files.length) return;
    input.value = "";
    upload(name, files);
  };
  input.addEventListener("change", takeFiles);
  // On a slow line, files may have been chosen before this script was loaded.
  takeFiles();
}

export function takeDroppedFiles() {
  for (const zone of form.querySelectorAll("[data-drop]")) {
    const fieldset = zone.closest("fieldset");
    const onFiles = (type, react) =>
      fieldset.addEventListener(type, (event) => {
        if (![...event.dataTransfer.types].includes("Files")) return;
        event.preventDefault();
        react(event);
      });
    onFiles("dragover", () => fieldset.classList.add("over"));
    onFiles("drop", (event) => {
      fieldset.classList.remove("over");
      upload(zone.dataset.drop, event.dataTransfer.files);
    });
    fieldset.addEventListener("dragleave", () => fieldset.classList.remove("over"));
  }
}

export function takePastedFiles() {
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    upload(chosen("content").length ? "styles" : "content", files);
  });
}
