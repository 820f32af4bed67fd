// The part of the catalogue, groups, refinement, k, α and β. What a person has not touched stays the server's own, to the last digit.

import { clearConditions, conditions, showColumns } from "./conditions.js";
import { element } from "./rankings.js";

const byId = (id) => document.getElementById(id);
const form = byId("settings");
const refine = byId("refine");
const groupBy = byId("group-by");
const keep = byId("keep");
const strengths = byId("strengths");
const textWeight = byId("text-weight");
const NARROW = "(max-width: 62rem)"; // as in page.css: the settings stand above the results
const MIN_ALPHA_RANGE = 10; // α of the paper's backbones are 3 and 1

/** What to ask the server for; see fetchResults. */
export function settings() {
  const alpha = {};
  for (const slider of strengths.querySelectorAll("input")) {
    if (slider.dataset.touched) alpha[slider.dataset.model] = slider.value;
  }
  return {
    where: conditions(),
    groupBy: groupBy.value,
    refine: refine.checked,
    alpha,
    keep: keep.dataset.touched ? keep.value : undefined,
    textWeight: textWeight.dataset.touched ? textWeight.value : undefined,
  };
}

/** Set the sliders to what the server serves; keeps what a person has set for the same models. */
export function showServed(status) {
  showColumns(status.columns);
  showGroupColumns(status.group_columns);
  keep.max = status.default_top_k;
  keep.dataset.default = status.default_keep;
  if (!keep.dataset.touched) showDefault(keep);
  textWeight.max = Math.max(textWeight.max, status.default_text_weight);
  textWeight.dataset.default = status.default_text_weight;
  if (!textWeight.dataset.touched) showDefault(textWeight);
  const known = [...strengths.querySelectorAll("input")].map((slider) => slider.dataset.model);
  const served = status.models.map((model) => model.name);
  if (known.join("\n") !== served.join("\n")) {
    strengths.querySelectorAll(".setting").forEach((setting) => setting.remove());
    strengths.append(...status.models.map(strengthSetting));
  }
  strengths.hidden = !served.length;
}

/** Fold the settings where they would push the results off the screen. */
export function foldWhereNarrow() {
  byId("settings-fold").open = !matchMedia(NARROW).matches;
}

/** Call back, with a pause while a slider moves or a number is typed, when a setting has changed. */
export function onSettings(changed) {
  let timer;
  const soon = (delay) => {
    clearTimeout(timer);
    timer = setTimeout(changed, delay);
  };
  form.addEventListener("input", ({ target }) => {
    if (target.type === "range") {
      target.dataset.touched = "yes";
      valueOf(target).textContent = target.value;
    }
    keep.disabled = !refine.checked;
    soon(["range", "number"].includes(target.type) ? 200 : 0);
  });
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    clearConditions();
    groupBy.value = "";
    refine.checked = true;
    keep.disabled = false;
    form.querySelectorAll("input[type=range]").forEach(showDefault);
    soon(0);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
}

/** Offer these columns; keeps what a person has chosen if it is still there. */
function showGroupColumns(names) {
  const chosen = groupBy.value;
  const [image] = groupBy.options;
  groupBy.replaceChildren(image, ...names.map((name) => element("option", { value: name }, name)));
  groupBy.value = names.includes(chosen) ? chosen : "";
  byId("grouping").hidden = !names.length;
}

function showDefault(slider) {
  delete slider.dataset.touched;
  slider.value = slider.dataset.default;
  valueOf(slider).textContent = slider.dataset.default;
}

function strengthSetting(model, index) {
  const id = `alpha-${index}`;
  const slider = element("input", {
    id,
    type: "range",
    min: 0,
    max: Math.max(MIN_ALPHA_RANGE, Math.ceil(2 * model.alpha)),
    step: 0.1,
    dataset: { model: model.name, default: model.alpha },
  });
  const value = element("span", { className: "value" }, `${model.alpha}`);
  value.setAttribute("aria-hidden", "true"); // the slider tells it
  const made = element(
    "div",
    { className: "setting" },
    element("label", { htmlFor: id }, model.name),
    value,
    slider,
  );
  slider.value = model.alpha;
  return made;
}

const valueOf = (slider) => slider.parentElement.querySelector(".value");
