// The part of the catalogue that is searched: a choice for a column with few values, the ends of a
// range for a column of numbers.

import { element } from "./rankings.js";

const box = document.getElementById("part");
let shown = "[]"; // the columns that have controls, as JSON

/** What products must meet, each condition as beauty-search takes it after --where. */
export function conditions() {
  return controls()
    .filter(({ value }) => value !== "")
    .map((control) => `${quoted(control.dataset.column)} ${control.dataset.comparison} ${value(control)}`);
}

/** Make the controls of these columns; keeps what a person has chosen if they are the same. */
export function showColumns(columns) {
  const wanted = JSON.stringify(columns);
  if (wanted === shown) return;
  shown = wanted;
  box.querySelectorAll(".setting").forEach((setting) => setting.remove());
  box.append(...columns.flatMap(settingsOf));
  box.hidden = !columns.length;
}

/** Take the whole catalogue again. */
export function clearConditions() {
  for (const control of controls()) control.value = "";
}

const controls = () => [...box.querySelectorAll("[data-column]")];

/** The value as --where has it; every number has one form that it reads as a number. */
const value = (control) =>
  control.type === "number" ? Number(control.value).toExponential() : control.value;

const quoted = (text) => `'${text.replaceAll("'", "''")}'`;

function settingsOf(column, index) {
  const id = `column-${index}`;
  if (column.kind !== "number") return [setting(column.name, choice(column, id))];
  return [
    setting(`${column.name} from`, end(column, `${id}-from`, ">=")),
    setting(`${column.name} to`, end(column, `${id}-to`, "<=")),
  ];
}

function setting(name, control) {
  return element("div", { className: "setting" }, element("label", { htmlFor: control.id }, name), control);
}

function choice({ name, kind, values }, id) {
  const literal = kind === "text" ? quoted : (text) => text;
  const options = values.map((text) => element("option", { value: literal(text) }, text));
  const dataset = { column: name, comparison: "=" };
  return element("select", { id, dataset }, element("option", { value: "" }, "any"), ...options);
}

function end({ name }, id, comparison) {
  return element("input", { id, type: "number", step: "any", dataset: { column: name, comparison } });
}
