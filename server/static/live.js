// Renews a page while something on it is going on: fetches the same address and brings the
// regions marked with data-live up to date in place, so that scroll position, focus, open
// details, checked boxes and selected text stay. The page stops by itself once the
// server no longer asks for renewal with data-renew-seconds on the body.
//
// The server says when one of the body's data-topics has changed, through server-sent events.
// Until that connection is there, and where there is none, the page asks every few seconds.
"use strict";

(() => {
  const sign = document.getElementById("live-sign");
  // Changes that another process of the server made are no events.
  const WHILE_CONNECTED_SECONDS = 15;
  const AGAIN_MILLISECONDS = 30000;
  let timer = 0;
  let source = null;
  let isConnected = false;
  let isRenewing = false;
  let isOutdated = false;

  const seconds = () => Number(document.body.dataset.renewSeconds || 0);

  const show = (text, lost) => {
    sign.hidden = !text;
    sign.textContent = text;
    sign.classList.toggle("lost", lost);
  };

  const hasSelectionIn = (element) => {
    const selection = document.getSelection();
    return !selection.isCollapsed && element.contains(selection.anchorNode);
  };

  const isSame = (before, after) =>
    before.nodeName === after.nodeName &&
    before.dataset?.key === after.dataset?.key;

  const syncAttributes = (before, after) => {
    // Whether a details element is open is the reader's choice.
    const mine = (name) => name === "open" && before.nodeName === "DETAILS";
    for (const { name } of [...before.attributes]) {
      if (!after.hasAttribute(name) && !mine(name)) before.removeAttribute(name);
    }
    for (const { name, value } of after.attributes) {
      if (before.getAttribute(name) !== value && !mine(name)) before.setAttribute(name, value);
    }
  };

  const isKeyed = (element) => Boolean(element.firstElementChild?.dataset.key);

  // Rows keep their element for as long as they are there, wherever they move to.
  const morphRows = (before, after) => {
    const known = new Map([...before.children].map((row) => [row.dataset.key, row]));
    const wanted = new Set([...after.children].map((row) => row.dataset.key));
    for (const row of [...before.children]) if (!wanted.has(row.dataset.key)) row.remove();
    [...after.children].forEach((row, index) => {
      const present = known.get(row.dataset.key);
      const place = before.children[index] ?? null;
      if (present !== place) before.insertBefore(present ?? row, place);
      if (present) morph(present, row);
    });
  };

  const morph = (before, after) => {
    if (before.nodeType !== Node.ELEMENT_NODE) {
      if (before.nodeValue !== after.nodeValue) before.nodeValue = after.nodeValue;
      return;
    }
    syncAttributes(before, after);
    if (isKeyed(before) && isKeyed(after)) {
      morphRows(before, after);
      return;
    }
    const wanted = [...after.childNodes];
    wanted.forEach((child, index) => {
      const present = before.childNodes[index];
      if (!present) before.append(child);
      else if (isSame(present, child)) morph(present, child);
      else present.replaceWith(child);
    });
    while (before.childNodes.length > wanted.length) before.lastChild.remove();
  };

  const renew = async () => {
    const response = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const focused = document.activeElement;
    for (const region of document.querySelectorAll("[data-live]")) {
      const fresh = page.querySelector(`[data-live="${region.dataset.live}"]`);
      if (fresh && !hasSelectionIn(region)) morph(region, document.adoptNode(fresh));
    }
    // A row that moved up or down has lost the focus on its way.
    if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
    for (const name of ["renewSeconds", "topics"]) {
      if (page.body.dataset[name]) document.body.dataset[name] = page.body.dataset[name];
      else delete document.body.dataset[name];
    }
  };

  const showLive = () => {
    if (!seconds()) show("", false);
    else show(isConnected ? "live" : `live, every ${seconds()} s`, false);
  };

  // One renewal at a time: what changes meanwhile is fetched right after it.
  const tick = async () => {
    isOutdated = true;
    if (document.hidden || isRenewing) return;
    isRenewing = true;
    let isLost = false;
    while (isOutdated && !isLost) {
      isOutdated = false;
      try {
        await renew();
        listen();
        showLive();
      } catch {
        isLost = true;
        show("no connection, trying again", true);
      }
    }
    isRenewing = false;
    plan(isLost ? seconds() : undefined);
  };

  const plan = (wait = isConnected ? WHILE_CONNECTED_SECONDS : seconds()) => {
    clearTimeout(timer);
    if (seconds()) timer = setTimeout(tick, wait * 1000);
  };

  const ignore = () => {
    source?.close();
    source = null;
    isConnected = false;
  };

  const listen = () => {
    const topics = seconds() && !document.hidden ? document.body.dataset.topics : "";
    if (topics && source?.topics === topics) return;
    ignore();
    if (!topics || !window.EventSource) return;
    const query = new URLSearchParams(topics.split(" ").map((topic) => ["topic", topic]));
    const opened = new EventSource(`/api/v1/events?${query}`);
    opened.topics = topics;
    opened.addEventListener("open", () => {
      isConnected = true;
      showLive();
      // What changed since the page was made was told to nobody.
      tick();
    });
    opened.addEventListener("changed", ({ data }) => {
      document.dispatchEvent(new CustomEvent("board-changed", { detail: data }));
      tick();
    });
    opened.addEventListener("error", () => {
      if (isConnected) tick();
      isConnected = false;
      // A browser tries a lost connection again by itself, but not one that was refused.
      if (opened.readyState === EventSource.CLOSED) setTimeout(() => source === opened && (ignore(), listen()), AGAIN_MILLISECONDS);
    });
    source = opened;
  };

  // Browsers open few connections to one host: only the page that is looked at keeps one.
  document.addEventListener("visibilitychange", () => {
    listen();
    if (!document.hidden && seconds()) tick();
  });
  showLive();
  listen();
  plan();
})();
