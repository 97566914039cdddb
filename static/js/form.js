// The studio's form, and what is chosen in it.

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
  // The picture's own size; the properties are what it takes on the page.
  return [Number(image.getAttribute("width")), Number(image.getAttribute("height"))];
}

export function showError(name, sentence) {
  const error = form.querySelector(`[data-error="${name}"]`);
  error.textContent = sentence;
  error.hidden = !sentence;
  // What the server said of the last order is settled by the next choice.
  document.getElementById(`${name}-error`)?.remove();
}
