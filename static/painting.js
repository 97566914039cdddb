// Follows a painting without reloading. The page works without this: it then reloads itself.

const page = document.querySelector("[data-status]");
const part = (role) => page.querySelector(`[data-role="${role}"]`);
const POLL_EVERY_MS = 1000;
const SLOWEST_MS = 8000;
const title = document.title;

function showLine(sentence) {
  // Absent where the server says something more important (no worker, no queue, stopping).
  const line = part("line");
  if (line && line.textContent && sentence && line.textContent !== sentence) line.textContent = sentence;
}

function showPreview(address) {
  const shown = part("preview");
  if (!shown || !address || shown.getAttribute("src") === address) return;
  // Swapped only once loaded, so that the canvas never goes blank.
  const next = new Image();
  next.onload = () => {
    shown.src = address;
    shown.className = "soft";
  };
  next.src = address;
}

function showProgress(progress) {
  const percent = `${Math.floor(progress * 100)} %`;
  if (part("progress")) part("progress").value = progress;
  if (part("percent")) part("percent").textContent = percent;
  document.title = `${percent} · ${title}`;
}

async function follow(delay = POLL_EVERY_MS) {
  try {
    const answer = await fetch(page.dataset.status, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(answer.status);
    const status = await answer.json();
    const isNewPage =
      status.state !== page.dataset.state ||
      (page.dataset.renditions && status.renditions.length !== Number(page.dataset.renditions));
    if (isNewPage) {
      location.reload();
      return;
    }
    showLine(status.line);
    if (status.state === "running") {
      showProgress(status.progress);
      showPreview(status.preview);
    }
    delay = POLL_EVERY_MS;
  } catch {
    delay = Math.min(2 * delay, SLOWEST_MS);
  }
  setTimeout(() => follow(delay), delay);
}

follow();
