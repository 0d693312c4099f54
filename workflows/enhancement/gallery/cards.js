"use strict";
// The page: a state, its controls, one page of cards, and the folders.
const CARDS = 48, FOLDERS = 100;
const FILTERS = ["text", "side_from", "side_to", "consistency_from", "consistency_to"];
const at = id => document.getElementById(id);
const controls = at("controls").elements;
const page = { state: address.read(location.hash), chosen: [], folders: FOLDERS, drawn: null };

// Changes the state. A change of what is chosen leads to the first page; `step`: the browser's
// button back undoes it.
page.change = (change, step = false) => {
  page.state = { ...page.state, ...("page" in change || "play" in change ? {} : { page: 1 }), ...change };
  page.draw();
  const target = address.of(page.state);
  if (target !== location.hash) history[step ? "pushState" : "replaceState"](null, "", target);
};

page.draw = () => {
  const { play, page: number, ...choice } = page.state, key = JSON.stringify(choice);
  if (key !== page.drawn?.key) page.chosen = gallery.chosen(page.state);
  page.pages = Math.max(1, Math.ceil(page.chosen.length / CARDS));
  page.state.page = Math.min(number, page.pages);
  if (key !== page.drawn?.key) { showControls(); showFolders(); }
  if (key !== page.drawn?.key || page.state.page !== page.drawn.page) showCards();
  page.drawn = { key, page: page.state.page };
  player.show(gallery.tracks.find(track => track.id === play));
};

const entered = control => control.type !== "number" ? control.value
  : control.value === "" ? null : control.valueAsNumber;

function showControls() {
  for (const name of [...FILTERS, "sort"]) {
    // Another text of the same number, such as "1.0" on the way to "1.05", stays as it is.
    if (entered(controls[name]) !== page.state[name]) controls[name].value = page.state[name] ?? "";
  }
  at("order").textContent = page.state.falling ? "▾ falling" : "▴ rising";
}

function showCards() {
  const { chosen, pages, state } = page, first = (state.page - 1) * CARDS;
  const shown = chosen.slice(first, first + CARDS), all = gallery.tracks.length;
  const films = new Set(chosen.map(track => track.video)).size;
  const whole = number => number.toLocaleString("en");
  const counted = (number, what) => `${whole(number)} ${what}${number === 1 ? "" : "s"}`;
  at("count").textContent = !all ? "This collection has no restored track."
    : !chosen.length ? `None of ${counted(all, "track")} matches.`
    : `${whole(first + 1)}–${whole(first + shown.length)} of ${counted(chosen.length, "track")} in ${counted(films, "film")}`
      + (chosen.length < all ? ` (of ${whole(all)} in ${whole(gallery.films)})` : "");
  at("pages").hidden = pages === 1;
  at("page").value = state.page;
  at("page").max = pages;
  at("last").textContent = `of ${whole(pages)}`;
  at("previous").disabled = state.page === 1;
  at("next").disabled = state.page === pages;
  at("cards").replaceChildren(...shown.map(card));
  const list = document.querySelector("main");
  if (list.getBoundingClientRect().top < 0) list.scrollIntoView();
}

function card(track) {
  const item = at("card").content.firstElementChild.cloneNode(true);
  const [button, film, folder, when, what] = item.children, [image, missing] = button.children;
  const cut = track.video.lastIndexOf("/") + 1, name = track.video.slice(cut);
  const place = `${gallery.clock(track.start)} · track ${track.track}`;
  button.setAttribute("aria-label", `play ${name}, ${place}`);
  button.addEventListener("click", () => page.change({ play: track.id }, true));
  image.addEventListener("error", () => { image.remove(); missing.textContent = "the picture is missing"; });
  if (track.picture) image.src = track.picture;
  else { image.remove(); missing.textContent = "no picture"; }
  film.textContent = name;
  folder.textContent = track.video.slice(0, cut);
  film.title = folder.title = track.video;
  when.textContent = `${place} · ${gallery.number(track.seconds, 1, " s")} · ${gallery.number(track.frames, 0)} frames`;
  what.textContent = `${gallery.number(track.side, 0, " px")}${track.input === "degraded" ? ", degraded" : ""}`
    + ` · consistency\u00a0${gallery.number(track.consistency, 1, "\u00a0dB")}`;
  if (track.input === "degraded") what.title = "the film shows more than the network was given";
  return item;
}

function folderButton(name, folder) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = name;
  button.addEventListener("click", () => { page.folders = FOLDERS; page.change({ folder }, true); });
  return button;
}

function showFolders() {
  const { folder } = page.state, parts = folder.split("/").slice(0, -1);
  const found = gallery.below(page.chosen, folder);
  at("folders").hidden = !folder && !gallery.below(gallery.tracks, "").length;
  at("path").replaceChildren(folderButton("all", ""), ...parts.flatMap((name, place) =>
    [" / ", folderButton(name, parts.slice(0, place + 1).join("/") + "/")]));
  const line = (...parts) => {
    const item = document.createElement("li");
    item.append(...parts);
    return item;
  };
  const items = found.slice(0, page.folders).map(([name, count]) => {
    const number = document.createElement("span");
    number.textContent = count.toLocaleString("en");
    return line(folderButton(name.slice(0, -1) || "/", folder + name), number);
  });
  if (found.length > page.folders) {
    const more = document.createElement("button");
    more.type = "button";
    more.textContent = `${(found.length - page.folders).toLocaleString("en")} more`;
    more.addEventListener("click", () => { page.folders += 10 * FOLDERS; showFolders(); });
    items.push(line(more));
  }
  at("below").replaceChildren(...items);
}

for (const name of FILTERS) {
  controls[name].addEventListener("input", ({ target }) => page.change({ [name]: entered(target) }));
}
controls.sort.addEventListener("change", ({ target }) => page.change({ sort: target.value }, true));
at("order").addEventListener("click", () => page.change({ falling: !page.state.falling }, true));
at("controls").addEventListener("submit", event => event.preventDefault());
at("controls").addEventListener("reset", event => { event.preventDefault(); page.change({ ...START }, true); });
at("previous").addEventListener("click", () => page.change({ page: page.state.page - 1 }, true));
at("next").addEventListener("click", () => page.change({ page: page.state.page + 1 }, true));
at("page").addEventListener("change", ({ target }) =>
  page.change({ page: Math.max(1, Math.floor(target.valueAsNumber) || 1) }, true));
addEventListener("hashchange", () => { page.state = address.read(location.hash); page.draw(); });
