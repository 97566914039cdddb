// Shows the latest preview of a painting that is being painted.

export function showPreview(image, address) {
  if (!image || !address || image.getAttribute("src") === address) return;
  // Replaced only once the next image is loaded, so that the canvas is never blank.
  const next = new Image();
  next.onload = () => {
    image.src = address;
    image.classList.remove("pale");
  };
  next.src = address;
}
