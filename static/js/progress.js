// Shows the progress of a painting, and its place in the queue.

const title = document.title;

export function showQueueText(element, text) {
  // The element is absent where the server has something more important to say (no worker).
  if (element && text && element.textContent.trim() !== text) element.textContent = text;
}

export function showProgress(bar, percent, progress) {
  const text = `${Math.floor(progress * 100)} %`;
  bar.value = progress;
  percent.textContent = text;
  document.title = `${text} · ${title}`;
}
