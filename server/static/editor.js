// The editor of the page Submit. The textarea stays the form's field, and all there is without this
// script or in a browser without constructed style sheets. As one types, the form is sent to be
// checked, and what the server answers, a page with the same regions, is taken over: what would come
// of the text, and a mark at each line with a problem.
"use strict";

(() => {
  const { CodeMirror, completionsAt } = globalThis;
  const form = document.getElementById("draft");
  const field = document.getElementById("yaml");
  const host = document.getElementById("editor");
  const summary = document.getElementById("answer-summary");
  const outlook = document.getElementById("outlook");
  if (!CodeMirror || !completionsAt || !("adoptedStyleSheets" in document)) return;

  const { EditorState, EditorView, HighlightStyle, keymap, tags } = CodeMirror;
  const QUIET_MILLISECONDS = 300;
  const AGAIN_SECONDS = 5;
  const LABEL = "YAML. Escape, then Tab, leaves the editor.";

  // Completion

  const documents = new Map();

  const knownOf = (text) => {
    const named = /^track:\s*["']?(\w+)/m.exec(text)?.[1];
    const tracks = form.dataset.tracks.split(" ");
    const track = tracks.includes(named) ? named : form.dataset.track || tracks[0];
    if (!documents.has(track)) {
      const asked = fetch(`/api/v1/tracks/${track}/completions`).then((answer) => {
        if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
        return answer.json();
      });
      // One that failed is asked for again at the next key.
      documents.set(track, asked.catch(() => void documents.delete(track)));
    }
    return documents.get(track);
  };

  const complete = async (context) => {
    const text = context.state.doc;
    const known = await knownOf(text.toString());
    if (!known) return null;
    const line = text.lineAt(context.pos);
    const found = completionsAt(known, text.toString().split("\n"), line.number - 1, context.pos - line.from);
    if (!found?.options.length || (!found.word && !context.explicit)) return null;
    return { from: line.from + found.from, options: found.options, validFor: /^[\w.+-]*$/ };
  };

  // Below `overrides`, a key with nothing behind it begins a group.
  const indentation = (context, position) => {
    const above = context.lineAt(position, -1).text;
    const [, indent, key] = /^(\s*)([\w.]+):\s*$/.exec(above) ?? [];
    return key === "overrides" || indent ? indent.length + 2 : undefined;
  };

  // Look: the page's own colours, which change with light and dark

  const theme = EditorView.theme({
    "&": { color: "var(--text)", backgroundColor: "var(--ground)", fontSize: "0.8125rem", borderRadius: "4px" },
    "&.cm-focused": { outline: "none" },
    ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.45", maxHeight: "40rem", overflow: "auto" },
    ".cm-content": { minHeight: "20rem", caretColor: "var(--text)" },
    ".cm-gutters": { backgroundColor: "var(--raised)", color: "var(--muted)", borderRight: "1px solid var(--line-soft)" },
    ".cm-gutter-lint": { width: "1.1rem" },
    ".cm-tooltip": { backgroundColor: "var(--raised)", color: "var(--text)", border: "1px solid var(--muted)", borderRadius: "4px", maxWidth: "min(36rem, 92vw)" },
    ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxHeight: "14rem", maxWidth: "min(36rem, 90vw)" },
    ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "0.15rem 0.4rem" },
    ".cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--ground)" },
    ".cm-completionIcon": { display: "none" },
    ".cm-completionDetail": { fontStyle: "normal", opacity: "0.85" },
    ".cm-completionMatchedText": { textDecoration: "none", fontWeight: "700" },
    ".cm-completionInfo": { fontFamily: "var(--sans)", whiteSpace: "pre-line", padding: "0.35rem 0.5rem" },
    ".cm-diagnostic": { fontFamily: "var(--sans)", borderLeft: "3px solid var(--failed)", overflowWrap: "anywhere" },
    ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--failed) 1px", textUnderlineOffset: "3px" },
    ".cm-lint-marker-error": { content: "normal" },
    ".cm-lint-marker-error::before": { content: '"✕"', color: "var(--failed)", fontWeight: "700" },
  });
  const colours = HighlightStyle.define([
    { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--accent)" },
    { tag: tags.string, color: "var(--succeeded)" },
    { tag: [tags.comment, tags.lineComment], color: "var(--muted)" },
    { tag: [tags.invalid], color: "var(--failed)" },
  ]);

  // Check

  let timer = 0;
  let latest = 0;

  const say = (text, role = "status") => {
    summary.setAttribute("role", role);
    if (summary.textContent !== text) summary.textContent = text;
  };

  const send = () => {
    const body = new URLSearchParams(new FormData(form));
    body.set("do", "check");
    return fetch(form.action, { method: "POST", body, headers: { Accept: "text/html" } });
  };

  const read = async (answer) => new DOMParser().parseFromString(await answer.text(), "text/html");

  // A server that was started anew knows no form of before.
  const renewToken = async () => {
    const fresh = await read(await fetch(form.action, { headers: { Accept: "text/html" } }));
    const token = fresh.querySelector("#draft [name=csrf_token]");
    if (token) form.elements.csrf_token.value = token.value;
  };

  const mark = (page) => {
    const { doc } = view.state;
    const found = [...page.querySelectorAll("#outlook [data-line]")].map(({ dataset }) => {
      const line = doc.line(Math.min(Number(dataset.line), doc.lines));
      const indent = line.text.length - line.text.trimStart().length;
      return { from: line.from + indent, to: line.to, severity: "error", message: dataset.message };
    });
    view.dispatch(CodeMirror.setDiagnostics(view.state, found));
  };

  const takeOver = (page) => {
    const next = page.getElementById("answer-summary");
    summary.setAttribute("role", "status");
    if (!summary.isEqualNode(next)) summary.replaceChildren(...document.adoptNode(next).childNodes);
    mark(page);
    const fresh = page.getElementById("outlook");
    if (!outlook.isEqualNode(fresh)) outlook.replaceChildren(...document.adoptNode(fresh).childNodes);
  };

  const check = async () => {
    latest += 1;
    const mine = latest;
    try {
      let answer = await send();
      if (answer.status === 403) {
        await renewToken();
        answer = await send();
      }
      // What was typed since makes it stale; another check is on its way.
      if (mine !== latest) return;
      if (answer.ok) {
        const page = await read(answer);
        if (mine === latest) takeOver(page);
      } else if (answer.status === 429) {
        const seconds = Number(answer.headers.get("Retry-After")) || AGAIN_SECONDS;
        say(`Too many checks; the next one is in ${seconds} s.`);
        plan(seconds * 1000);
      } else {
        say(`Not checked: the server answered ${answer.status}.`);
      }
    } catch {
      if (mine !== latest) return;
      say("Not checked: no connection, trying again.");
      plan(AGAIN_SECONDS * 1000);
    }
  };

  const plan = (wait = QUIET_MILLISECONDS) => {
    clearTimeout(timer);
    timer = setTimeout(check, wait);
  };

  const changed = () => {
    latest += 1;
    plan();
  };

  // Editor

  const root = host.attachShadow({ mode: "open" });
  const view = new EditorView({
    // In a shadow root its styles are constructed sheets, which the content policy allows.
    root,
    parent: root,
    state: EditorState.create({
      doc: field.value,
      extensions: [
        CodeMirror.lineNumbers(),
        CodeMirror.lintGutter(),
        CodeMirror.history(),
        CodeMirror.yaml(),
        CodeMirror.indentService.of(indentation),
        CodeMirror.syntaxHighlighting(colours),
        CodeMirror.autocompletion({ override: [complete], icons: false }),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": LABEL, autocapitalize: "off" }),
        keymap.of([
          ...CodeMirror.completionKeymap,
          ...CodeMirror.lintKeymap,
          ...CodeMirror.historyKeymap,
          ...CodeMirror.defaultKeymap,
          CodeMirror.indentWithTab,
        ]),
        theme,
        EditorView.updateListener.of((update) => {
          if (!update.docChanged) return;
          field.value = update.state.doc.toString();
          changed();
          const isValueNext = update.transactions.some((one) => one.isUserEvent("input.complete"));
          if (isValueNext && update.state.doc.sliceString(0, update.state.selection.main.head).endsWith(": ")) {
            setTimeout(() => CodeMirror.startCompletion(view));
          }
        }),
      ],
    }),
  });
  host.hidden = false;
  field.hidden = true;
  // A browser does not send a form whose required field it cannot show.
  field.required = false;
  document.getElementById("editor-keys").hidden = false;
  document.querySelector("label[for=yaml]").addEventListener("click", () => view.focus());
  form.elements.author?.addEventListener("input", changed);
  // Going back in the history fills in what was written before.
  addEventListener("pageshow", () => {
    if (field.value === view.state.doc.toString()) return;
    view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: field.value } });
  });
  mark(document);
})();
