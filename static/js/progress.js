// Shows how far a painting is, and its place in the line.

const title = document.title;

export function showLine(line, sentence) {
  // The line is absent where the server says something more important (no worker, no queue).
  if (line && sentence && line.textContent.trim() !== sentence) line.textContent = sentence;
}

export function showProgress(bar, percent, progress) {
  const text = `${Math.floor(progress * 100)} %`;
  bar.value = progress;
  percent.textContent = text;
  document.title = `${text} · ${title}`;
}
