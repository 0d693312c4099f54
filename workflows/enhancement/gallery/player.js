"use strict";
// The dialog that plays a track; the arrow keys lead through all that is chosen.
const player = { track: null };
const dialog = at("player"), video = dialog.querySelector("video"), still = dialog.querySelector("#stage img");

// Shows a track, or nothing for undefined.
player.show = track => {
  if (track === player.track) return;
  const before = player.track;
  player.track = track ?? null;
  if (!track) return player.close(before);
  const place = page.chosen.indexOf(track), count = page.chosen.length;
  at("title").textContent = track.video;
  at("place").textContent = place < 0 ? "" : `${(place + 1).toLocaleString("en")} of ${count.toLocaleString("en")}`;
  at("before").disabled = place <= 0;
  at("after").disabled = place === count - 1;
  at("figures").replaceChildren(...player.figures(track).flatMap(([name, text]) =>
    [["dt", name], ["dd", text]].map(([kind, content]) => {
      const element = document.createElement(kind);
      element.textContent = content;
      return element;
    })));
  at("film").parentElement.hidden = !track.film;
  at("film").href = `${track.film}#t=${track.start ?? 0}`;
  player.load(track);
  if (!dialog.open) dialog.showModal();
};

player.load = track => {
  video.hidden = !track.plays;
  still.hidden = Boolean(track.plays) || !track.picture;
  at("problem").textContent = track.plays ? "" : "No film of this track was written.";
  if (!track.plays) {
    player.stop();
    still.src = track.picture;
    return;
  }
  video.autoplay = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (track.picture) video.poster = track.picture; else video.removeAttribute("poster");
  video.src = track.plays;
};

player.stop = () => {
  video.removeAttribute("src");
  video.load();
};

// Leads back to the card of the track that was shown.
player.close = before => {
  player.stop();
  if (dialog.open) dialog.close();
  const place = page.chosen.indexOf(before) - (page.state.page - 1) * CARDS;
  at("cards").children[place]?.querySelector("button").focus();
};

player.figures = track => {
  const { number } = gallery;
  return [
    ["person", track.identity || "–"],
    ["track", `${track.track}, from ${gallery.clock(track.start)} on, ${number(track.seconds, 1, " s")}, ${number(track.frames, 0)} frames`],
    ["size", `${number(track.side, 1, " px")} in the film`],
    ["input", track.input === "degraded" ? "degraded: made as small as in training, the film shows more"
      : `native: the film's own pixels, resized by ${number(track.resized, 2)}`],
    ["restored by", `${track.variant}, ×${track.scale}`],
    ["sharpness", number(track.sharpness, 0)],
    ["consistency", number(track.consistency, 1, " dB")],
  ];
};

player.step = by => {
  const place = page.chosen.indexOf(player.track) + by, track = page.chosen[place];
  if (track) page.change({ play: track.id, page: Math.floor(place / CARDS) + 1 });
};

at("before").addEventListener("click", () => player.step(-1));
at("after").addEventListener("click", () => player.step(1));
at("close").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => page.change({ play: "" }));
dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("keydown", event => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!by || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault(); // or the video seeks
  player.step(by);
});
video.addEventListener("error", () => {
  if (video.hasAttribute("src")) at("problem").textContent = "The film of this track is missing, or cannot be played here.";
});

gallery.arrange();
const expected = Number(document.body.dataset.tracks);
if (gallery.tracks.length < expected) {
  at("incomplete").hidden = false;
  at("incomplete").textContent = `${(expected - gallery.tracks.length).toLocaleString("en")} of `
    + `${expected.toLocaleString("en")} tracks are not shown: files of this gallery are missing. Copy its folder whole.`;
}
at("folders").open = matchMedia("(min-width: 50rem)").matches;
page.draw();
