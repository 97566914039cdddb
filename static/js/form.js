// Access to the studio's form: the chosen pictures, and errors.

export const form = document.querySelector("form.studio");
export const maxStyles = Number(form.dataset.maxStyles);

export function byRole(role) {
  return form.querySelector(`[data-role="${role}"]`);
}

export function chosen(name) {
  return [...form.querySelectorAll(`input[name="${name}"]:checked`)];
}

export function imageOf(choice) {
  return choice.closest(".choice").querySelector("img");
}

export function sizeOf(image) {
  // Attributes have the picture's own size; the properties have its size on the page.
  return [Number(image.getAttribute("width")), Number(image.getAttribute("height"))];
}

export function showError(name, sentence) {
  const error = form.querySelector(`[data-error="${name}"]`);
  error.textContent = sentence;
  error.hidden = !sentence;
  // The next choice makes the server's error on the last order obsolete.
  document.getElementById(`${name}-error`)?.remove();
}
