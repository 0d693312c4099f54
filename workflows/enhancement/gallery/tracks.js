"use strict";
// The tracks of the collection, which the data files hand over, and what of them a state of the
// page (address.js) shows.
const gallery = { tracks: [] };
const asPeopleCount = new Intl.Collator("en", { numeric: true }).compare;

gallery.add = ({ texts, numbers, files, words, tracks }) => {
  const columns = [...texts, ...numbers, ...files];
  for (const row of tracks) {
    const track = {};
    columns.forEach((name, place) => { track[name] = row[place]; });
    for (const name of texts) track[name] = words[track[name]];
    for (const name of files) track[name] = track[name].map(place => words[place]).join("");
    track.text = texts.map(name => track[name]).join("\n").toLowerCase();
    track.id = `${track.track}:${track.video}`;
    gallery.tracks.push(track);
  }
};

// Brings the tracks into the order of their films, as people count, and of time.
gallery.arrange = () => {
  const films = [...new Set(gallery.tracks.map(track => track.video))];
  films.sort(asPeopleCount);
  const place = new Map(films.map((film, number) => [film, number]));
  gallery.films = films.length;
  gallery.tracks.sort((one, other) =>
    place.get(one.video) - place.get(other.video) || one.start - other.start || one.track - other.track);
};

const within = (value, from, to) =>
  (from === null && to === null) || (value !== null && value >= (from ?? -Infinity) && value <= (to ?? Infinity));

// The tracks that a state lets through, in its order; those without the value come last.
gallery.chosen = state => {
  const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = gallery.tracks.filter(track =>
    track.video.startsWith(state.folder)
    && within(track.side, state.side_from, state.side_to)
    && within(track.consistency, state.consistency_from, state.consistency_to)
    && words.every(word => track.text.includes(word)));
  const sign = state.falling ? -1 : 1, key = state.sort;
  if (key === "film") return state.falling ? found.reverse() : found;
  return found.sort((one, other) => {
    if (one[key] === null || other[key] === null) return (one[key] === null) - (other[key] === null);
    return sign * (one[key] - other[key]);
  });
};

// The folders right below `folder` ("" or ending in "/") → how many of the tracks lie in each.
gallery.below = (tracks, folder) => {
  const counts = new Map();
  for (const track of tracks) {
    const end = track.video.indexOf("/", folder.length);
    if (end < 0) continue;
    const name = track.video.slice(folder.length, end + 1);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].sort((one, other) => asPeopleCount(one[0], other[0]));
};

gallery.clock = seconds => {
  if (seconds === null) return "–";
  const whole = Math.floor(seconds), two = number => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
};

gallery.number = (value, digits, unit = "") => value === null ? "–"
  : value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }) + unit;
