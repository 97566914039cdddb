// Shows the latest preview of a painting that is being painted.

export function showPreview(image, address) {
  if (!image || !address || image.getAttribute("src") === address) return;
  // Swapped only once loaded, so that the canvas never goes blank.
  const next = new Image();
  next.onload = () => {
    image.src = address;
    image.classList.remove("pale");
  };
  next.src = address;
}
