// What may stand at a place of a submission's YAML, by the server's completion document: keys of the
// submission, settings below `overrides` by their dotted or nested path, keys of the entries of a
// list, and values that can be listed. `completionsAt` knows lines and columns, and no editor.
"use strict";

globalThis.completionsAt = (() => {
  const LINE = /^(\s*)(- +)?(?:([\w.]+):)?/;
  const KEY = /^(\s*)(- +)?([\w.]*)$/;
  const VALUE = /^(\s*)(- +)?([\w.]+):\s+(?:.*[[,]\s*)?([\w.+-]*)$/;

  // The column in which a line's key begins: that of the dash does not count.
  const columnOf = (indent, dash) => indent.length + (dash?.length ?? 0);

  // Dotted path of the keys around a key in some line and column.
  const pathAround = (lines, index, column, dash) => {
    const path = [];
    // A list may stand in the column of its own key.
    let limit = dash ? column - dash.length + 1 : column;
    for (let above = index - 1; above >= 0 && limit > 0; above -= 1) {
      const [, indent, before, key] = LINE.exec(lines[above]);
      if (!key) continue;
      const at = columnOf(indent, before);
      if (at < limit) {
        path.unshift(key);
        limit = at;
      } else if (before && at === limit) {
        limit = indent.length + 1;
      }
    }
    return path.join(".");
  };

  const plain = (text) => text.replaceAll("`", "");

  const about = (one) => {
    const parts = [one.what];
    if (one.allowed) parts.push(`Allowed: ${plain(one.allowed)}.`);
    if (one.baseline !== null) parts.push(`Baseline: ${JSON.stringify(one.baseline)}.`);
    return parts.map(plain).join("\n");
  };

  const offerKey = (label) => (one) => ({
    label: label(one),
    type: "property",
    detail: plain(one.allowed),
    info: about(one),
    apply: one.path === "overrides" ? "overrides:\n  " : `${label(one)}: `,
  });

  const keysAt = (known, around) => {
    if (!around) return known.keys.map(offerKey(({ path }) => path));
    if (around !== "overrides" && !around.startsWith("overrides.")) return [];
    const inside = around.slice("overrides.".length);
    const list = known.settings.find(({ path, entries }) => path === inside && entries.length);
    if (list) return list.entries.map(offerKey(({ path }) => path));
    const prefix = inside ? `${inside}.` : "";
    return known.settings
      .filter(({ path }) => path.startsWith(prefix))
      .map(offerKey(({ path }) => path.slice(prefix.length)));
  };

  const valuesAt = (known, path) => {
    const setting = known.settings.find((one) => `overrides.${one.path}` === path);
    const one = setting ?? known.keys.find((key) => key.path === path);
    if (!one) return [];
    const isSingle = (value) => value !== null && typeof value !== "object";
    const values = one.values.length ? one.values : [one.baseline].filter(isSingle);
    return values.map((value) => ({
      label: String(value),
      type: "enum",
      detail: value === one.baseline ? "baseline" : "",
    }));
  };

  // Options for the text before the cursor, and the column from which they replace it; or null.
  return (known, lines, index, column) => {
    const text = lines[index].slice(0, column);
    const key = KEY.exec(text);
    if (key) {
      const [, indent, dash, word] = key;
      const around = pathAround(lines, index, columnOf(indent, dash), dash);
      return { from: column - word.length, word, options: keysAt(known, around) };
    }
    const value = VALUE.exec(text);
    if (!value) return null;
    const [, indent, dash, name, word] = value;
    const around = pathAround(lines, index, columnOf(indent, dash), dash);
    const path = around ? `${around}.${name}` : name;
    return { from: column - word.length, word, options: valuesAt(known, path) };
  };
})();
