"use strict";
// What the page shows is written behind the # of its address, so that a view can be sent on.
const START = {
  text: "", folder: "", side_from: null, side_to: null, consistency_from: null, consistency_to: null,
  sort: "film", falling: false, page: 1, play: "",
};
const address = {};

// The state that an address tells; what makes no sense there is as at the start.
address.read = hash => {
  const told = new URLSearchParams(hash.replace(/^#/, "")), state = { ...START };
  for (const [name, value] of told) {
    if (!Object.hasOwn(START, name)) continue;
    const start = START[name];
    if (typeof start === "string") state[name] = value;
    else if (typeof start === "boolean") state[name] = value === "true";
    else if (value.trim() !== "" && Number.isFinite(Number(value))) state[name] = Number(value);
  }
  state.page = Math.max(1, Math.floor(state.page));
  if (!document.querySelector(`#controls option[value="${CSS.escape(state.sort)}"]`)) state.sort = START.sort;
  return state;
};

address.of = state => {
  const told = Object.entries(state).filter(([name, value]) => value !== START[name]);
  return `#${new URLSearchParams(told)}`;
};
