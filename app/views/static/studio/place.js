// Where one is, as the part of the URL behind #: "#/make/card?title=Hello".

export function readPlace(hash) {
  const [path, query] = hash.replace(/^#?\/?/, "").split(/\?(.*)/s);
  const [tab, ...rest] = path.split("/").map(decodeURIComponent);
  const given = query === undefined ? null : Object.fromEntries(new URLSearchParams(query));
  return { tab, name: rest.join("/"), given };
}

export function writePlace(tab, name, given) {
  const path = [tab, ...(name ? name.split("/") : [])].map(encodeURIComponent).join("/");
  const query = given ? `?${new URLSearchParams(given)}` : "";
  return `#/${path}${query}`;
}
