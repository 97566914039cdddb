// Enhances the studio: pictures are uploaded at once; easel and forecast follow every change.
// Without this script, the form sends everything together.

import { showEasel } from "./easel.js";
import { takeChosenFiles, takeDroppedFiles, takePastedFiles } from "./files.js";
import { askForecast } from "./forecast.js";
import { byRole, chosen, form, maxStyles, showError } from "./form.js";

function showChosen() {
  showEasel();
  askForecast();
}

function showSending(isSending) {
  const button = byRole("submit");
  button.disabled = isSending;
  button.textContent = isSending ? "Sending…" : "Paint it";
}

form.addEventListener("change", ({ target }) => {
  if (target.name === "styles" && chosen("styles").length > maxStyles) {
    target.checked = false;
    showError("styles", `Choose at most ${maxStyles} style pictures.`);
  } else if (target.name === "styles" || target.name === "content") {
    showError(target.name, "");
  }
  showChosen();
});
form.addEventListener("submit", () => showSending(true));
// A page restored by the Back button must not keep a disabled button.
window.addEventListener("pageshow", () => {
  showSending(false);
  showChosen();
});

takeChosenFiles(document.getElementById("content_file"), "content");
takeChosenFiles(document.getElementById("style_files"), "styles");
takeDroppedFiles();
takePastedFiles();
showChosen();
