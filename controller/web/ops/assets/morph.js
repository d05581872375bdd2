// Puts new markup into a page while what a reader does there goes on: focus, open details, typed text, drawn charts.
import {Idiomorph} from "idiomorph/dist/idiomorph.esm.js";

const callbacks = {
  // Charts, and the times inside parts that have not changed, are drawn by the script: the server's markup is older.
  beforeNodeMorphed: (old) => !(old.nodeType === Node.ELEMENT_NODE && old.matches("[data-kept]")),
  // Whether details are open is the reader's choice.
  beforeAttributeUpdated: (name, node) => !(name === "open" && node.matches("details, dialog")),
};

/** Make `element` look like `html`, whose one element takes its place. */
export function morphInto(element, html) {
  Idiomorph.morph(element, html, {morphStyle: "outerHTML", ignoreActiveValue: true, restoreFocus: true, callbacks});
}
