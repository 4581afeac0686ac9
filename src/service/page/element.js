// element — makes and finds elements. Text goes in as text, never as markup.

// make("p", {class: "hint", onclick: f}, "text", child): attributes that begin with "on" are listeners; false, null and
// undefined leave an attribute or a child out.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...present(children));
  return element;
}

const svgSpace = "http://www.w3.org/2000/svg";

export function makeSvg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(svgSpace, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...present(children));
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren(...present(children));
}

// Sets the text only where it differs, so that a screen reader's live region is quiet.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function find(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no element "${id}"`);
  return element;
}

// A list of choices: [[value, label], ...]. The one that was chosen stays if it is there.
export function fillSelect(select, choices) {
  const chosen = select.value;
  fill(select, ...choices.map(([value, label]) => make("option", {value}, label)));
  if (choices.some(([value]) => value === chosen)) select.value = chosen;
}

function present(children) {
  return children.flat().filter((child) => child !== false && child !== null && child !== undefined);
}
