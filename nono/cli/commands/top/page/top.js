"use strict";
// Every text comes from a session and is shown as text: nothing here makes HTML of it.

const LOOK_EVERY_MS = 1000;
const SETTLE_MS = 800; // after the questions have moved, a click is for one that was seen
const element = (id) => document.getElementById(id);
let asked = "";

function made(tag, text, className) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (className) node.className = className;
  return node;
}

async function call(method, path, token, body) {
  const response = await fetch(path, {
    method, cache: "no-store", credentials: "omit", redirect: "error",
    headers: { Authorization: "Bearer " + token, "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!response.ok) throw Object.assign(new Error(await response.text()), { status: response.status });
  return response.json();
}

// The token of the link works once. What it is exchanged for stays in this tab, and is never in a URL.
async function key() {
  const token = location.hash.slice(1);
  history.replaceState(null, "", "/");
  if (token) sessionStorage.setItem("key", (await call("POST", "/v1/open", token)).key);
  return sessionStorage.getItem("key") || "";
}

function question(session, each, shownKey) {
  const card = made("article", undefined, "question");
  const heading = made("h2", session.name + " asks: " + each.what);
  heading.id = "asks-" + each.id;
  card.append(heading);
  const list = made("dl");
  for (const [name, value] of each.fields) list.append(made("dt", name), made("dd", value));
  list.append(made("dt", "Expires"), made("dd", undefined, "left"));
  const answers = made("div", undefined, "answers");
  for (const [word, label] of [["allow", "Allow once"], ["deny", "Deny"]]) {
    const button = made("button", label, word);
    button.type = "button";
    button.setAttribute("aria-describedby", heading.id); // "Allow once" alone does not say what
    button.disabled = true;
    button.addEventListener("click", async () => {
      for (const other of answers.children) other.disabled = true;
      const path = "/v1/sessions/" + encodeURIComponent(session.id) + "/approvals/" + encodeURIComponent(each.id);
      try {
        element("said").textContent = (await call("POST", path, shownKey, { answer: word })).said;
      } catch (error) {
        element("said").textContent = error.message;
      }
    });
    answers.append(button);
  }
  card.append(list, answers);
  return card;
}

function show(told, shownKey) {
  element("headline").textContent = told.headline;
  document.title = told.headline;
  const questions = told.sessions.flatMap((session) => session.questions.map((each) => [session, each]));
  const ids = JSON.stringify(questions.map(([session, each]) => [session.id, each.id]));
  if (ids !== asked) {
    asked = ids;
    element("questions").replaceChildren(...questions.map(([session, each]) => question(session, each, shownKey)));
    setTimeout(() => {
      if (asked === ids) for (const button of document.querySelectorAll("button")) button.disabled = false;
    }, SETTLE_MS);
  }
  document.querySelectorAll(".left").forEach((left, number) => {
    left.textContent = "in " + questions[number][1].left + ", with a no";
  });
  const [head, body] = [document.querySelector("thead tr"), document.querySelector("tbody")];
  head.replaceChildren(...told.headers.map((name) => Object.assign(made("th", name), { scope: "col" })));
  body.replaceChildren(...told.sessions.flatMap((session) => {
    const row = made("tr", undefined, session.questions.length ? "cells needs" : "cells");
    session.cells.forEach((cell, number) => {
      const shown = made("td", cell);
      shown.dataset.label = told.headers[number];
      row.append(shown);
    });
    const below = made("tr", undefined, "details");
    below.append(Object.assign(made("td", session.details.join("\n")), { colSpan: told.headers.length }));
    return [row, below];
  }));
}

async function follow() {
  let shownKey = "";
  try {
    shownKey = await key();
  } catch (error) {
    element("headline").textContent = error.message;
    return;
  }
  for (;;) {
    try {
      show(await call("GET", "/v1/sessions", shownKey), shownKey);
    } catch (error) {
      element("headline").textContent = error.status ? error.message : "nono top has ended.";
      if (error.status === 401) return;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

follow();
