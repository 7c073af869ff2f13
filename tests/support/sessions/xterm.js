// Keeps terminals of @xterm/headless by name and says what they show; one JSON request a line, one answer.
"use strict";

const { Terminal } = require(process.argv[2]);
const terminals = new Map();
const COLOURS = ["getFgColor", "getFgColorMode", "getBgColor", "getBgColorMode"];
const STYLES = ["isBold", "isDim", "isItalic", "isBlink", "isInverse", "isInvisible", "isStrikethrough"];

function rowOf(buffer, y, cell, links) {
  const line = buffer.getLine(y);
  const row = [];
  for (let x = 0; line && x < line.length; x++) {
    line.getCell(x, cell);
    const characters = cell.getChars() || (cell.getWidth() ? " " : "");
    // xterm.js underlines a link; that does not count.
    const underline = cell.hasExtendedAttrs() ? (cell.extended._ext >> 26) & 7 : 0;
    const link = cell.hasExtendedAttrs() ? cell.extended.urlId : 0;
    const target = link ? (links.getLinkData(link)?.uri ?? "") : "";
    row.push([characters, cell.getWidth(), underline, target, ...[...COLOURS, ...STYLES].map((name) => cell[name]())]);
  }
  return row;
}

function screenOf(terminal, buffer) {
  const cell = buffer.getNullCell();
  const links = terminal._core._oscLinkService;
  const rows = [];
  for (let y = 0; y < terminal.rows; y++) rows.push(rowOf(buffer, buffer.baseY + y, cell, links));
  return rows;
}

function historyOf(buffer) {
  const lines = [];
  for (let y = 0; y < buffer.baseY; y++) lines.push(buffer.getLine(y).translateToString(true));
  return lines;
}

function stateOf(terminal) {
  const core = terminal._core;
  const active = core.buffer;
  return {
    buffer: terminal.buffer.active.type,
    cursor: [active.x, active.y],
    hidden: core.coreService.isCursorHidden,
    region: [active.scrollTop, active.scrollBottom],
    modes: { ...terminal.modes },
    title: terminal.title_ ?? "",
    encoding: core.coreMouseService.activeEncoding,
    charset: core._charsetService.glevel,
    pen: [core._inputHandler._curAttrData.fg, core._inputHandler._curAttrData.bg & 0x7ffffff],
  };
}

function write(terminal, text) {
  terminal._core._writeBuffer.writeSync(Buffer.from(text, "base64"));
}

const actions = {
  new({ name, rows, columns }) {
    if (terminals.has(name)) {
      // Making thousands of them takes more memory than node has.
      const terminal = terminals.get(name);
      terminal.reset();
      terminal.resize(columns, rows);
      terminal.title_ = undefined;
      return;
    }
    const terminal = new Terminal({ rows, cols: columns, scrollback: 5000, allowProposedApi: true });
    terminal.onTitleChange((title) => (terminal.title_ = title));
    terminals.set(name, terminal);
  },
  write({ name, output }) {
    write(terminals.get(name), output);
  },
  resize({ name, rows, columns }) {
    terminals.get(name).resize(columns, rows);
  },
  show({ name }) {
    const terminal = terminals.get(name);
    return {
      ...stateOf(terminal),
      screen: screenOf(terminal, terminal.buffer.active),
      history: historyOf(terminal.buffer.normal),
    };
  },
};

require("node:readline")
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    const request = JSON.parse(line);
    process.stdout.write(JSON.stringify(actions[request.action](request) ?? null) + "\n");
  });
