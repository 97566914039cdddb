// Follows a painting without reloading. Without this script, the page reloads itself.

import { showPreview } from "./preview.js";
import { showProgress, showQueueText } from "./progress.js";

const POLL_EVERY_MS = 1000;
const SLOWEST_MS = 8000;

const page = document.querySelector("[data-status]");
const byRole = (role) => page.querySelector(`[data-role="${role}"]`);

function isNewPage({ state, renditions }) {
  const shown = page.dataset.renditions;
  return state !== page.dataset.state || (shown && renditions.length !== Number(shown));
}

async function follow(delay = POLL_EVERY_MS) {
  try {
    const answer = await fetch(page.dataset.status, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(answer.status);
    const status = await answer.json();
    if (isNewPage(status)) {
      location.reload();
      return;
    }
    showQueueText(byRole("queue-text"), status.queue_text);
    if (status.state === "running") {
      showProgress(byRole("progress"), byRole("percent"), status.progress);
      showPreview(byRole("preview"), status.preview);
    }
    delay = POLL_EVERY_MS;
  } catch {
    delay = Math.min(2 * delay, SLOWEST_MS);
  }
  setTimeout(() => follow(delay), delay);
}

follow();
